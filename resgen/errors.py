"""Every error that a person can cause or mend, each saying in one sentence what to do."""


class ResGenError(Exception):
    """A problem with the input; the message is one clear sentence shown to the user as it is."""


class RecipeError(ResGenError):
    """A recipe, or a part of one (seeds, classes, sliders), that cannot be drawn."""


class CheckpointError(ResGenError):
    """A checkpoint that is missing, damaged, unsafe or of a format this version cannot read."""


class DataError(ResGenError):
    """A data set or picture that cannot be found, read or used."""


class FileError(ResGenError):
    """A file that cannot be written: no room, no right, no such folder."""
