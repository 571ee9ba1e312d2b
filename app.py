"""Opens the studio: `python app.py`. Also the entry of a Hugging Face Space."""

import sys

from resgen.cli import main

if __name__ == "__main__":
    main(["studio", *sys.argv[1:]])
