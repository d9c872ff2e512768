"""A recipe out of flags."""

import shlex

import pytest
from absl import flags

from semisup import recipes
from semisup.cli.flags import recipe_from_flags
from semisup.config import Recipe
from semisup.errors import InputError

pytestmark = pytest.mark.usefixtures("training_flags")


@pytest.mark.parametrize(
    ("line", "base"),
    [
        ("", recipes.RECIPES["mnist5k"]),
        ("--sup_per_class=3 --seed=1", recipes.RECIPES["mnist5k"]),
        ("--dataset=folder --data_dir=/photos", Recipe()),
        ("--architecture=keras:MobileNetV2 --new_size=32", Recipe()),
        ("--recipe=mnist5k --dataset=usps", recipes.RECIPES["mnist5k"]),
        ("--recipe=photos --architecture=keras:MobileNetV2", recipes.RECIPES["photos"]),
    ],
)
def test_recipe_from_flags_begins_with_the_default_recipe_for_its_own_images_only(line, base):
    flags.FLAGS(["semisup-train", *shlex.split(line)])
    recipe = recipe_from_flags()
    given = {word.split("=")[0].removeprefix("--") for word in shlex.split(line)}
    changed = {name for name in vars(base) if getattr(recipe, name) != getattr(base, name)}
    assert changed == given - {"recipe"}
    assert (recipe.optimizer, recipe.max_steps) == (base.optimizer, base.max_steps)


@pytest.mark.parametrize(
    "word",
    [
        "--sup_per_class=5",
        "--unsup_samples=9",
        "--sup_seed=1",
        "--fold=0",
        "--exclude_labeled",
        "--remove_classes=1",
    ],
)
def test_a_split_file_leaves_nothing_else_to_say_of_the_split(word):
    flags.FLAGS(["semisup-train", "--split_file=S", word])
    name = word[2:].split("=")[0]
    with pytest.raises(
        InputError, match=f"`split_file` says which images are labelled; leave out `{name}`"
    ):
        recipe_from_flags()
