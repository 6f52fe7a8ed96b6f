"""What is derived from a generator, kept in the generator itself: one of other facts shares none of it."""

KEPT = 64  # things derived from one generator, such as a function for each of its codes


class Keeper:
    """A base of generators, and of functions made of them, which are values: nothing of them changes but this."""

    def derived(self, key, make):
        """What `make()` returns, made when it is first asked for under this key, which says what it is. What has not
        been asked for longest goes first."""
        kept = vars(self).setdefault("_derived", {})
        value = kept.pop(key) if key in kept else make()
        kept[key] = value
        if len(kept) > KEPT:
            del kept[next(iter(kept))]
        return value
