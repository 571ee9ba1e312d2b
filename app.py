"""Opens the studio: `python app.py`. Also the entry of a Hugging Face Space, which reads `demo`."""

import argparse
import sys
from pathlib import Path

from resgen.checkpoint import SHIPPED
from resgen.errors import ResGenError
from resgen.studio.app import build, launch_options


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Explore image generators in the browser.")
    parser.add_argument("--checkpoints", type=Path, default=SHIPPED, metavar="DIR", help="folder of .safetensors checkpoints")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--host", default=None, help="address to listen on; 0.0.0.0 for the whole network")
    parser.add_argument("--port", type=int, default=None, help="default: the first free one from 7860")
    parser.add_argument("--share", action="store_true", help="also open a public link for a week")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    try:
        demo = build(arguments.checkpoints, arguments.device)
    except ResGenError as error:
        print(f"resgen: {error}", file=sys.stderr)
        sys.exit(2)
    try:
        demo.launch(server_name=arguments.host, server_port=arguments.port, share=arguments.share, **launch_options())
    except OSError:
        address = f"{arguments.host or '127.0.0.1'}:{arguments.port or '7860-7959'}"
        print(f"resgen: {address} is taken or cannot be listened on; choose another --port or --host.", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
