import pytest

from semisup.evaluation import names


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("from_$5_to_$10_", "from_$5_to_$10_"),
        ("a\tb\nc", r"a\tb\nc"),
        (b"ch\xe8vre".decode("utf-8", "surrogateescape"), r"ch\xe8vre"),
        ("\ud800", r"\ud800"),
        ("猫 und Hündin", "猫 und Hündin"),
        ("right\u202eleft", r"right\u202eleft"),
    ],
)
def test_printable_escapes_what_cannot_be_printed(name, shown):
    assert names.printable(name) == shown
    names.printable(name).encode("utf-8")


def test_shorten_cuts_to_distinct_names():
    assert names.shorten(["cat", "meerkat of the desert"], 10) == ["cat", "meerkat o…"]
    # Cut in the middle, where the ends tell them apart.
    breeds = ["german shepherd", "german sheep", "german shorthair"]
    assert names.shorten(breeds, 10) == ["germa…herd", "germa…heep", "germa…hair"]
    assert names.shorten(["猫" * 9], 6) == ["猫猫…"]
    # By number, where nothing else does.
    alike = ["x" * 30 + c + "y" * 30 for c in "ab"]
    assert names.shorten(alike, 10) == ["xxxxxxxx…0", "xxxxxxxx…1"]


def test_shorten_gives_no_number_that_ends_as_another_name_does():
    given = [f"Fossil sample {i:03}" for i in range(1100)]
    assert len(set(names.shorten(given, 8))) == len(given)


@pytest.mark.parametrize("width", [4, 7, 12])
def test_shorten_keeps_many_long_names_apart(width):
    given = [f"{'road sign ' * 5}{i} {'of the motorway ' * 5}" for i in range(120)]
    short = names.shorten(given, width)
    assert len(set(short)) == 120
    assert max(map(len, short)) <= width


def test_columns_counts_wide_characters_twice():
    assert names.display_width("cat") == 3
    assert names.display_width("猫x") == 3
    assert names.display_width("e\u0301") == 1


@pytest.mark.parametrize("name", ["a\tb", "猫\u3000犬", "caf\u00e9", " x ", "a, b", "\udce8"])
def test_in_one_line_leaves_what_ends_no_line(name):
    assert names.in_one_line(name) == name


@pytest.mark.parametrize("end", ["\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_in_one_line_escapes_what_ends_a_line(end):
    escaped = end.encode("unicode_escape").decode()
    assert names.in_one_line(f"a{end}b") == f"a{escaped}b"
    assert names.in_one_line(f"a{end}b").splitlines() == [f"a{escaped}b"]


def test_listed_says_how_many_more():
    assert names.listed(["a", "b"]) == "a, b"
    assert names.listed([*"abcdefghijkl"]) == "a, b, c, d, e, f, g, h and 4 more"
