"""Damage to files, and odd texts for settings, for property tests with Hypothesis."""

from hypothesis import strategies as st

KINDS = ("cut", "flipped", "zeros", "noise", "missing", "inserted")
HEADER = 64  # bytes at the beginning, where most formats say what they are
# the kind, the first damaged byte (counted modulo the file's length), and bytes as many as are damaged
DAMAGE = st.tuples(
    st.sampled_from(KINDS), st.integers(0, HEADER) | st.integers(0, 2**24), st.binary(min_size=1, max_size=64)
)
ODD = st.sampled_from(
    ["nan", "inf", "-inf", "1e999", "-1", "-1e-9", "0", "2**70", "9**9**9", "1e308", "1e-400", "1/0", "", " ", "None"]
    + ["True", "0x10", "1_000", "\u0661", "[1]", "100000000", "3.5", "-0.0", "a" * 5000, "\n", "=", "1j"]
    + ["/dev/null", "/dev/full", "/proc/self/mem", "/proc/self", "..", "~", ".", "no/such/folder", "\udce9", "a\0b"]
)


def damaged(content, damage):
    """Bytes with one kind of damage, drawn from DAMAGE."""
    kind, position, extra = damage
    position %= len(content)
    before, middle, after = (
        content[:position],
        content[position : position + len(extra)],
        content[position + len(extra) :],
    )
    flipped = bytes(a ^ 1 << b % 8 for a, b in zip(middle, extra))
    return (
        before
        + {
            "cut": b"",
            "flipped": flipped + after,
            "zeros": bytes(len(extra)) + after,
            "noise": extra + after,
            "missing": after,
            "inserted": extra + middle + after,
        }[kind]
    )
