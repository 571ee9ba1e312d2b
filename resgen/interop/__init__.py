"""Other people's generators: their networks, written anew, and readers of their files.

A reader of state dicts is a module with `sniff` (is this file mine?), `read` (its configuration and weights, under our names) and `SETTINGS` (what a
person may say that a file does not); the configuration builds the network. It is named in `readers.py`, and its configuration in `families.py`.
Pickled StyleGANs, ONNX files and programs are read in ways of their own (`readers.read_file`).
"""
