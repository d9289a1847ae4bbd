"""The parts of alignment: comparing pairs, bounding the mean over all looks, the human ceiling, what else recent events say."""
