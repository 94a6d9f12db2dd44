"""Greets somebody by name. Each input arrives as an argument of its name: --who=world."""

import argparse


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--who", required=True)
    print(f"Hello, {parser.parse_args().who}!")


if __name__ == "__main__":
    main()
