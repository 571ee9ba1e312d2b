# What CI runs, and habits; `just` alone lists them.

default:
    @just --list

# Everything but the tests: style, types, layers, what looks unsafe, scripts.
lint:
    ruff check .
    ruff format --check .
    pyright
    lint-imports --no-cache
    bandit --quiet --configfile pyproject.toml --recursive resgen
    oxlint --deny-warnings resgen/studio/static resgen/site/static

# The tests, as README gives them.
test *words:
    python -m pytest -n 2 {{words}}

# Build the wheel, and look whether an installed package has all that the studio needs.
wheel folder="dist":
    rm -rf build {{folder}}
    pip wheel . --quiet --no-deps --wheel-dir {{folder}}
    python docs/check_wheel.py {{folder}}/resgen-*.whl

# Open the studio.
studio *words:
    python -m resgen studio {{words}}

# Photograph every screen into docs/screens.
screens:
    python -m docs.screenshots
