"""The numbers of studies: intervals that hold what they promise."""
