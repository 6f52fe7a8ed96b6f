"""The ten digits that the recordings of SC09, Speech Commands and FSDD say."""

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
