"""The figures, one idea a file. Each takes plain numbers and returns a matplotlib figure; nothing is read or saved here.

Drawn for black-and-white printers and colour-blind readers: series differ in lightness, in dashes and in markers.
"""
