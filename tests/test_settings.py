"""Settings: what a file may say, what is refused and how, and that nothing is lost on the way."""

import ast
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from reid_attn.errors import UsageError
from reid_attn.settings import Settings, dump, load, reading, resolve

CONFIGS = Path(__file__).parents[1] / "configs"
Loader = Callable[..., Settings]


@pytest.fixture
def read(tmp_path: Path) -> Loader:
    """The settings of a file that holds this text."""

    def read(text: str, *overrides: str) -> Settings:
        path = tmp_path / "config.yaml"
        path.write_text(text, encoding="utf-8")
        return load(path, overrides)

    return read


def leaves(model: BaseModel, above: str = "") -> Iterator[tuple[str, Any]]:
    """Every option that is a single value or a list, by its full name."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def nested(key: str, value: Any) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)


OPTIONS = dict(leaves(Settings()))
OTHER: dict[str, Any] = {  # a value that is allowed and not the default
    "name": "other",
    "data.source": "csv:table.csv",
    "data.also_train": ["csv:more.csv"],
    "data.test": "csv:test.csv",
    "data.cache": "cache",
    "data.camera_pattern": "k(.)",
    "model.backbone": "timm/resnet18",
    "model.weights": "IMAGENET1K_V2",
    "model.last_stride": 2,
    "model.attention": [{"name": "rga", "stages": [2, 3], "options": {"spatial": False}}],
    "augment.erase_area": [0.1, 0.2],
    "augment.jitter_strength": [0.1, 0.2, 0.3],
    "schedule.milestones": [1, 2, 3],
}
TOGETHER: dict[str, dict[str, Any]] = {  # options that another one is needed for
    "model.classifier": {"loss.identity_kind": "cosface"},
    "loss.identity_kind": {"model.classifier": "cosine"},
}


def other(key: str) -> Any:
    """`OTHER`, or what follows from the type."""
    value = OPTIONS[key]
    if key in OTHER:
        return OTHER[key]
    if isinstance(value, str):
        model: Any = Settings
        *groups, last = key.split(".")
        for group in groups:
            model = model.model_fields[group].annotation
        return next(c for c in get_args(model.model_fields[last].annotation) if c != value)
    if type(value) is float:
        return value / 2 or 0.5
    return (not value) if isinstance(value, bool) else value + 1


def others(key: str) -> dict[str, Any]:
    """`other` of one option, with those it needs, by their full names."""
    return {key: other(key)} | TOGETHER.get(key, {})


def all_nested(values: dict[str, Any]) -> dict[str, Any]:
    """Options of different groups."""
    return {
        group: rest for key, value in values.items() for group, rest in nested(key, value).items()
    }


# ---- what is accepted


def test_a_file_holds_only_what_differs(read: Loader) -> None:
    settings = read("seed: 7\nmodel: {attention: [{name: rga, slot: bn2}]}\n# a comment")
    expected = {"seed": 7, "model.attention": settings.model.attention}
    assert dict(leaves(settings)) == {**OPTIONS, **expected}
    (block,) = settings.model.attention
    assert (block.name, block.slot, block.stages, block.options) == ("rga", "bn2", (1, 2, 3, 4), {})


@pytest.mark.parametrize("key", OPTIONS)
def test_every_option_is_read_and_enters_the_digest(read: Loader, key: str) -> None:
    values = others(key)
    settings = read(yaml.safe_dump(all_nested(values)))
    changed = {name for name, value in leaves(settings) if value != OPTIONS[name]}
    assert changed == set(values)
    assert settings.digest() != Settings().digest()
    overrides = [
        f"{name}={yaml.safe_dump(value, default_flow_style=True)}" for name, value in values.items()
    ]
    assert read("seed: 0", *overrides) == settings


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_config_of_the_project_loads(path: Path) -> None:
    settings = load(path)
    assert settings != Settings()
    assert load(path, ["name=x"]).name == "x"


def test_the_defaults_are_held_to_their_own_rules() -> None:
    assert resolve(Settings().model_dump(mode="json"), "defaults") == Settings()
    assert resolve({}, "nothing") == Settings()


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().seed = 3
    with pytest.raises(ValidationError, match="frozen"):
        Settings().training.epochs = 3


# ---- the resolved copy


@pytest.mark.parametrize("key", OPTIONS)
def test_the_resolved_copy_gives_the_same_settings(read: Loader, key: str) -> None:
    settings = resolve(all_nested(others(key)), "test")
    again = read(dump(settings))
    assert again == settings
    assert again.digest() == settings.digest()
    assert list(leaves(again)) == list(leaves(resolve(yaml.safe_load(dump(settings)), "copy")))


OPTION_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.sampled_from(["1e-3", "010", "1:30", "2024-01-01", "no", "~", "0x_", "<<", "=", "- a"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abn1", min_size=1), inner),
    max_leaves=5,
)


@effort(max_examples=25)
@given(
    st.floats(min_value=1e-300, allow_nan=False, allow_infinity=False),
    st.dictionaries(st.text("abc", min_size=1), OPTION_VALUES),
)
def test_no_value_changes_in_the_resolved_copy(rate: float, options: dict[str, Any]) -> None:
    block = {"name": "rga", "options": options}
    values = {"optimizer": {"learning_rate": rate}, "model": {"attention": [block]}}
    settings = resolve(values, "test")
    assert settings.optimizer.learning_rate == rate
    assert settings.model.attention[0].options == options
    assert resolve(reading._parse(dump(settings), "copy"), "copy") == settings


def test_every_option_is_written_out() -> None:
    def flat(values: dict[str, Any], above: str = "") -> Iterator[str]:
        for key, value in values.items():
            yield from flat(value, f"{above}{key}.") if isinstance(value, dict) else [above + key]

    assert list(flat(yaml.safe_load(dump(Settings())))) == list(OPTIONS)


def test_the_digest_is_that_of_the_values_and_not_of_their_order() -> None:
    def block(options: dict[str, Any]) -> dict[str, Any]:
        return {"attention": [{"name": "rga", "options": options}]}

    one = resolve({"seed": 1, "model": block({"spatial": True, "channel": False})}, "one")
    two = resolve({"model": block({"channel": False, "spatial": True}), "seed": 1}, "two")
    assert one.digest() == two.digest()
    assert len(one.digest()) == 64


# ---- a file over another


@pytest.fixture
def stack(tmp_path: Path) -> Loader:
    """The settings of the first of several files, by their names."""

    def stack(*overrides: str, **texts: str) -> Settings:
        for name, text in texts.items():
            (tmp_path / f"{name}.yaml").write_text(text)
        return load(tmp_path / f"{next(iter(texts))}.yaml", overrides)

    return stack


def test_a_file_holds_what_differs_from_its_base(stack: Loader) -> None:
    settings = stack(
        "model.last_stride=2",
        top="base: middle.yaml\nseed: 3\nmodel: {pooling: gem, attention: [{name: a}]}",
        middle="seed: 2\nmodel: {attention: [{name: b}, {name: c}]}\nbase: bottom.yaml",
        bottom="seed: 1\nname: low\nmodel: {weights: w.pth, pooling: max}",
    )
    model = {"weights": "w.pth", "pooling": "gem", "last_stride": 2, "attention": [{"name": "a"}]}
    assert settings == resolve({"seed": 3, "name": "low", "model": model}, "test")


def test_a_base_lies_beside_the_file_that_names_it(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    (tmp_path / "one" / "top.yaml").write_text("base: ../two/middle.yaml")
    (tmp_path / "two" / "middle.yaml").write_text("base: bottom.yaml")
    (tmp_path / "two" / "bottom.yaml").write_text("seed: 5")
    assert load(tmp_path / "one" / "top.yaml").seed == 5


@pytest.mark.parametrize("base", ["top.yaml", "./top.yaml", "low.yaml"])
def test_a_base_that_leads_back_is_refused(stack: Loader, base: str) -> None:
    with pytest.raises(UsageError, match=r"\.yaml: its 'base' \S+ leads back to itself"):
        stack(top=f"base: {base}", low="base: top.yaml")


@pytest.mark.parametrize("base", ["", "3", "[low.yaml]", "{a: 1}"])
def test_a_base_that_is_no_path_is_refused(stack: Loader, base: str) -> None:
    with pytest.raises(UsageError, match=r"top\.yaml: 'base' must be the path of another"):
        stack(top=f"base: {base}")


def test_a_base_that_is_not_there_is_named(stack: Loader) -> None:
    with pytest.raises(UsageError, match=r"could not read the settings \S+/lowe\.yaml"):
        stack(top="base: lowe.yaml", low="seed: 1")


def test_a_wrong_key_is_told_with_both_files(stack: Loader) -> None:
    with pytest.raises(UsageError, match=r"top.yaml over \S+low.yaml: unknown setting 'sed'"):
        stack(top="base: low.yaml", low="sed: 1")
    with pytest.raises(UsageError, match=r"low.yaml: 'loss' = 3 is refused"):
        stack(top="base: low.yaml\nloss: 3", low="loss: {margin: 0.2}")


# ---- unknown and doubled keys


@pytest.mark.parametrize(
    ("text", "where", "hint"),
    [
        ("trainin: {epochs: 1}", "trainin", "training"),
        ("training: {epoch: 1}", "training.epoch", "epochs"),
        ("model: {atention: []}", "model.atention", "attention"),
        ("model: {attention: [{name: rga, slots: head}]}", "model.attention.0.slots", "slot"),
        ("model: {attention: [{name: a}, {nam: b}]}", "model.attention.1.nam", "name"),
        ("training: {epochs: 0, sav_every: 1}", "training.sav_every", "save_every"),
        ("data: {hieght: 3}", "data.hieght", "height"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_spelling(
    read: Loader, text: str, where: str, hint: str
) -> None:
    expected = rf"config.yaml: unknown setting '{where}' \(did you mean '{hint}'\?\)$"
    with pytest.raises(UsageError, match=expected):
        read(text)


@pytest.mark.parametrize("text", ["zebra: 1", "training: {zebra: 1}", "1: 2", "no: 1", "null: 1"])
def test_an_unknown_key_that_resembles_nothing(read: Loader, text: str) -> None:
    with pytest.raises(UsageError, match=r"unknown setting '[\w.]+'$"):
        read(text)


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ("seed: 1\nname: a\nseed: 1", "seed", 3),
        ("loss:\n  margin: 1\n  margin: 2", "margin", 3),
        ("model: {attention: [{name: a, name: b}]}", "name", 1),
        ('seed: 1\n"seed": 1', "seed", 2),
    ],
)
def test_a_key_written_twice(read: Loader, text: str, key: str, line: int) -> None:
    with pytest.raises(UsageError, match=f"the key '{key}' is written twice, again on line {line}"):
        read(text)


# ---- values of the wrong kind


@pytest.mark.parametrize("key", OPTIONS)
def test_a_value_of_another_type_is_refused_by_name(read: Loader, key: str) -> None:
    wrong: list[Any] = [None, {"a": 1}]
    value = OPTIONS[key]
    if isinstance(value, bool):
        wrong += [0, 1, "true", "no"]
    elif isinstance(value, int):
        wrong += [True, 1.0, "1", -5]
    elif isinstance(value, float):
        wrong += [True, "0.1", -1.0, float("nan"), float("inf")]
    else:
        wrong += [False, 1.5, 7]
    for bad in wrong:
        with pytest.raises(UsageError, match=rf"config.yaml: '?(unknown setting ')?{key}"):
            read(yaml.safe_dump(nested(key, bad)))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("optimizer: {learning_rate: 1e-3}", r"learning_rate' = '1e-3' .+ \(YAML wants 1.0e-3\)$"),
        ("model: {pooling: no}", "'model.pooling' = False is refused"),
        ("model: {neck: off}", "'model.neck' = False is refused"),
        ("name: on", "'name' = True is refused"),
        ("seed: 010", "'seed' = '010' is refused"),
        ("seed: 0x10", "'seed' = '0x10' is refused"),
        ("seed: 0b11", "'seed' = '0b11' is refused"),
        ("seed: 1:30", "'seed' = '1:30' is refused"),
        ("seed: 2024-01-01", "'seed' = '2024-01-01' is refused"),
        ("model: {last_stride: yes}", "'model.last_stride' = True is refused"),
        ("model: {last_stride: 0}", "'model.last_stride' = 0 is refused"),
        ("model: {last_stride: 3}", "'model.last_stride' = 3 is refused"),
        ("seed: 9223372036854775808", "'seed' = 9223372036854775808 is refused"),
        ("model: {attention: [{slot: head}]}", r"'model.attention.0.name' must be given$"),
        ("model: {attention: [{name: a, stages: [1, 5]}]}", "'model.attention.0.stages.1' = 5 is"),
        ("augment: {erase_area: [0.1]}", "'augment.erase_area.1' must be given"),
        ("augment: {erase_area: [0.4, 0.02]}", "'augment.erase_area' = .* is refused: the first"),
        ("schedule: {milestones: [4, 7.5]}", "'schedule.milestones.1' = 7.5 is refused"),
        ("loss:", "'loss' = None is refused"),
        ("seed: !!set {1}", "cannot be read"),
        ("data: &a {source: *a}", "cannot be read"),
    ],
)
def test_a_trap_of_yaml_is_refused_by_name(read: Loader, text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        read(text)


def test_what_is_compiled_keeps_its_activations(read: Loader) -> None:
    with pytest.raises(UsageError, match=r"training\.compile does not go with model\.checkpoint"):
        read("model: {checkpoint_activations: true}", "training.compile=true")


def test_a_date_in_place_of_a_text_is_a_text(read: Loader) -> None:
    assert read("name: 2024-01-01").name == "2024-01-01"


@pytest.mark.parametrize("name", ["..", ".", ".hidden", "-rf", "a/b", "", "a b", "a\n"])
def test_a_name_is_one_plain_folder(name: str) -> None:
    with pytest.raises(UsageError, match="'name' = "):
        resolve({"name": name}, "test")


# ---- files that are no settings


@pytest.mark.parametrize("text", ["", "- seed: 1", "seed", "3"])
def test_a_file_without_keys(read: Loader, text: str) -> None:
    with pytest.raises(UsageError, match=r"config.yaml must hold settings as 'key: value' lines$"):
        read(text)


@pytest.mark.parametrize(
    "text",
    [
        *("a: [", "[" * 400, "\ta: 1", "a: b: c", "a: @", "a: *b", "\x00", "a: 1\n---\na: 2"),
        *("a: !b c", "a: !!int x", "a: !!bool x", "a: !!timestamp x", "seed: " + "1" * 5000),
        *("? [a, b]\n: 1", "a: &x {b: 1}\nc: {<<: *x}", "a: !!python/object/apply:os.getcwd []"),
    ],
)
def test_broken_yaml(read: Loader, text: str) -> None:
    with pytest.raises(UsageError, match=r"config.yaml is not valid YAML: .") as raised:
        read(text)
    assert "\n" not in str(raised.value)


@given(st.text("seda:{}[],&*!?|-'\"%#1e.0\n ~<="))
def test_no_text_ends_in_another_error(text: str) -> None:
    try:
        values = reading._parse(text, "text")
        if isinstance(values, dict):
            resolve(values, "text")
    except UsageError:
        pass


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("name: é".encode("latin-1"))
    for path in (tmp_path / "missing.yaml", tmp_path, latin):
        with pytest.raises(UsageError, match="could not read the settings") as raised:
            load(path)
        assert str(path) in str(raised.value)


# ---- key=value


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("seed=5", "seed", 5),
        ("optimizer.learning_rate=1e-3", "optimizer.learning_rate", 0.001),
        ("optimizer.learning_rate=2E+1", "optimizer.learning_rate", 20.0),
        ("loss.margin=.5", "loss.margin", 0.5),
        ("name=nan", "name", "nan"),
        ("name=infinity", "name", "infinity"),
        ("name=1e3x", "name", "1e3x"),
        ("training.channels_last=false", "training.channels_last", False),
        ("schedule.milestones=[3, 5]", "schedule.milestones", (3, 5)),
        ("data.source=folder:a=b c", "data.source", "folder:a=b c"),
    ],
)
def test_an_override_replaces_one_value(read: Loader, override: str, key: str, value: Any) -> None:
    settings = read("seed: 3\nloss: {triplet: 2.0}", override)
    assert dict(leaves(settings)) == {**OPTIONS, "seed": 3, "loss.triplet": 2.0, key: value}


def test_the_last_override_holds(read: Loader) -> None:
    settings = read("seed: 3", "seed=4", "loss.margin=1", "seed=5")
    assert (settings.seed, settings.loss.margin) == (5, 1.0)


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("seed", "'seed' is not of the form key=value, for example training.epochs=5"),
        ("=5", "'=5' is not of the form key=value"),
        ("seed.x=5", "'seed.x': there are no options below 'seed'$"),
        ("model.attention.0.name=a", "'model.attention' = .+ is refused"),
        ("training.epoch=4", r"unknown setting 'training.epoch' \(did you mean 'epochs'\?\)"),
        ("training.=4", "unknown setting 'training.'"),
        ("data.source=", "'data.source' = None is refused"),
        ("optimizer.learning_rate=nan", "'optimizer.learning_rate' = 'nan' is refused"),
        ("seed=1e3", "'seed' = 1000.0 is refused"),
        ("name=[", r"'name=\[' is not valid YAML"),
    ],
)
def test_a_wrong_override(read: Loader, override: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        read("seed: 3", override)


@pytest.mark.parametrize(
    ("text", "override", "complaint"),
    [
        (
            "seed: 3",
            "name=a/b",
            "the command line: 'name' = 'a/b' is refused: a name is made of let",
        ),
        (
            "name: a/b",
            "seed=4",
            "config.yaml: 'name' = 'a/b' is refused: a name is made of letters",
        ),
        (
            "seed: 3",
            "model.backbone=vit",
            "the command line: .* is refused: use resnet50, resnet50_",
        ),
        ("seed: 3", "modle.width=8", "the command line: unknown setting 'modle'"),
        ("modle: {}", "seed=4", "config.yaml: unknown setting 'modle'"),
        ("seed: 3", "model.attention=[{slot: head}]", "the command line: .*0.name' must be given"),
        ("seed: 3", "model.attention.0=a", "the command line: 'model.attention' = "),
        ("seed: 3", "loss.identity_kind=circle", "config.yaml and the command line: loss.identity"),
        ("loss: {identity_kind: circle}", "", "config.yaml: loss.identity_kind=circle needs"),
    ],
)
def test_who_said_what_is_wrong_is_named(
    read: Loader, text: str, override: str, complaint: str
) -> None:
    with pytest.raises(UsageError, match=f"^(/.*/)?{complaint}"):
        read(text, *filter(None, [override]))


# ---- the list of options is the documentation


def test_every_option_is_documented() -> None:
    text = "\n".join(path.read_text() for path in Path(reading.__file__).parent.glob("*.py"))
    groups = [n for n in ast.parse(text).body if isinstance(n, ast.ClassDef)]
    for group in groups:
        for field, after in pairwise([*group.body, ast.Pass()]):
            if isinstance(field, ast.AnnAssign) and "Settings()" not in ast.unparse(field):
                assert isinstance(after, ast.Expr), f"{group.name}: {ast.unparse(field)} is bare"
    documented = sum(len(group.body) for group in groups)
    assert documented > 2 * len(OPTIONS), "the test has looked at nothing"
