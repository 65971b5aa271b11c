"""The configuration: every shipped one holds, and what is wrong is named with its remedy."""

import copy
import dataclasses
import typing
from pathlib import Path

import pytest
import torch
import yaml

from dfer.clips.sampling import SAMPLERS
from dfer.dag.configuration import check_config
from dfer.dag.experiment import Experiment, with_own_files
from dfer.errors import UserError
from dfer.models.method import build
from dfer.settings import (
    OWN,
    BackboneSettings,
    RunSettings,
    TrainSettings,
    method_settings,
    methods,
)
from dfer.tables import reported

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"
SEVEN = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")
SHIPPED = sorted((ROOT / "config").glob("*.yaml"))


def read(name="config.yaml"):
    return yaml.safe_load((ROOT / "config" / name).read_text())


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_configuration_holds(path):
    """And says what the paper's rows say: each variant is its own model, on every dataset."""
    config = yaml.safe_load(path.read_text())
    check_config(config, SCHEMA)
    experiment = Experiment(config)
    for dataset in experiment.datasets:
        baseline = experiment.settings(dataset, "baseline").model
        assert not baseline.interfit and baseline.aggregation == "mean" and baseline.blocks == 0
        full = experiment.settings(dataset, "full").model
        assert full.interfit and full.aggregation == "msta" and full.blocks == 2
        assert full.prompts == "both" and full.pairing == "pair" and full.head == "text"
        keys = {experiment.run_key(dataset, variant) for variant in experiment.variants}
        assert len(keys) == len(experiment.variants)


def change(keys, value):
    config = copy.deepcopy(read())
    where = config
    for key in keys[:-1]:
        where = where[key]
    where[keys[-1]] = value
    return config


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["trian"], {}, r"top level: no key 'trian'; did you mean 'train'\?"),
        (["train", "epoch"], 3, r"train: no key 'epoch'; did you mean 'epochs'\?"),
        (["train", "lr"], -1, r"train\.lr: -1 is less than or equal to the minimum of 0"),
        (["train", "lr"], "2e-5", r"train\.lr: '2e-5' is not of type 'number'"),
        (["train", "checkpoint"], "lst", r"no choice 'lst'; did you mean 'last'\?"),
        (["datasets", "demo", "layout"], "dwef", r"no layout 'dwef'; did you mean 'dfew'\?"),
        (["datasets", "demo", "layout"], "dfew", r"what is rendered has the layout csv"),
        (["datasets", "demo", "root"], "data", r"give either `root` .* or `render`"),
        (["datasets", "demo", "landmarks", "backend"], "dilb", r"'dilb'; name one of dlib, face_"),
        (["datasets", "demo", "landmarks", "evry"], 2, r"landmarks: backend dlib has no evry"),
        (["datasets", "demo", "landmarks", "every"], 0, r"every is 0; give a whole number"),
        (["datasets", "demo", "folds"], [], r"datasets\.demo\.folds"),
        (["variants", "full"], {"model": {"block": 3}}, r"did you mean 'blocks'\?"),
        (["variants", "full"], {"model": {"head": "linear"}}, r"full \(on demo\): head: linear"),
        (["train", "prior"], -1, r"train\.prior: -1 is less than the minimum of 0"),
        (
            ["variants", "prior", "train", "balanced"],
            True,
            r"prior: in balanced epochs all",
        ),
        (["train", "warmup_epochs"], 20, r"warmup_epochs must be smaller than epochs"),
        (["datasets", "demo", "classes", "sad"], "fear", r"two classes have the word 'fear'"),
    ],
)
def test_a_fault_is_named_with_its_remedy(keys, value, message):
    with pytest.raises(UserError, match=message):
        check_config(change(keys, value), SCHEMA)


@pytest.mark.parametrize(
    ("corrected", "more", "message"),
    [
        ({"variant": "ful"}, {}, r"corrected\.variant: no variant 'ful'; did you mean 'full'\?"),
        ({"variant": "post_hoc"}, {}, r"'post_hoc' is itself tuned or corrected; name one"),
        ({"variant": "off"}, {}, r"corrected\.variant: 'off' is off; name it in `enable`"),
        ({"variant": "prior"}, {}, r"training of 'prior' has corrected the prior already"),
        ({"variant": "balanced"}, {}, r"training of 'balanced' has corrected the prior already"),
        ({"variant": "chosen"}, {}, r"'chosen' has checkpoint: test, so that test clips would"),
        ({"variant": "full"}, {"train": {"lr": 1}}, r"what is corrected has no train of its own"),
        ({"variant": "full", "prior": 0}, {}, r"corrected\.prior: 0 is less than or equal"),
        ({}, {}, r"variants\.mine\.corrected: the key 'variant' is missing"),
    ],
)
def test_what_cannot_be_corrected_is_named(corrected, more, message):
    config = change(["variants", "mine"], {"corrected": corrected} | more)
    config["variants"]["off"] = {"enabled": False}
    config["variants"]["chosen"] = {"train": {"checkpoint": "test"}}
    with pytest.raises(UserError, match=message):
        check_config(config, SCHEMA)


def test_a_corrected_variant_is_the_run_of_another_and_has_a_folder_of_its_own():
    config = change(["variants", "half"], {"corrected": {"variant": "full", "prior": 0.5}})
    config["variants"]["half_again"] = config["variants"]["half"]
    config["variants"]["val"] = {"train": {"checkpoint": "val"}}
    check_config(config, SCHEMA)
    experiment = Experiment(config)
    assert experiment.settings("demo", "half") == experiment.settings("demo", "full")
    keys = [experiment.run_key("demo", v) for v in ("full", "post_hoc", "half", "half_again")]
    assert len(set(keys)) == 3 and keys[2] == keys[3]
    assert all(key.startswith("corrected.") for key in keys[1:])
    holding = experiment.holding_out("demo", "full")
    assert holding.train.holds_out and holding.key != keys[0]
    assert experiment.holding_out("demo", "val") == experiment.settings("demo", "val")


def test_a_corrected_variant_is_not_tuned():
    config = read()
    config["tuning"]["full"]["variant"] = "post_hoc"
    with pytest.raises(UserError, match="'post_hoc' is itself tuned or corrected"):
        check_config(config, SCHEMA)


def test_a_tuned_network_without_clip_keeps_its_own_frames():
    config = yaml.safe_load((ROOT / "config/benchmark.yaml").read_text())
    space = {"train.lr": {"name": "FloatDistribution", "low": 1e-4, "high": 1e-2, "log": True}}
    config["tuning"] = {"net": {"variant": "former_dfer", "rounds": 1, "width": 1, "space": space}}
    config["variants"]["net_tuned"] = {"tuned": "net"}
    check_config(config, SCHEMA)
    experiment = Experiment(config)
    (dataset, *_) = config["datasets"]
    model = experiment.settings(dataset, "former_dfer").model
    assert model != type(model)()  # the configuration sizes it
    assert experiment.settings(dataset, "net_tuned").model == model


def test_whole_numbers_may_be_written_as_floats():
    whole, floats = (Experiment(change(["train", "epochs"], n)) for n in (12, 12.0))
    assert floats.run_key("demo", "full") == whole.run_key("demo", "full")
    assert isinstance(floats.settings("demo", "full").train.epochs, int)


def test_all_faults_are_listed_at_once():
    config = change(["train", "epoch"], 3) | {"trian": {}}
    with pytest.raises(UserError, match=r"(?s)'trian'.*'epoch'"):
        check_config(config, SCHEMA)


def test_a_missing_key_is_named():
    config = read()
    del config["datasets"]["demo"]["classes"]
    with pytest.raises(UserError, match=r"datasets\.demo: the key 'classes' is missing"):
        check_config(config, SCHEMA)


def test_a_source_that_a_layout_has_not_is_named():
    config = read()
    config["datasets"]["demo"] |= {"layout": "ferv39k", "root": "data"}
    del config["datasets"]["demo"]["render"]
    with pytest.raises(UserError, match=r"layout ferv39k has no source 'video'; it has crops"):
        check_config(config, SCHEMA)


def test_braces_in_a_root_are_refused_before_snakemake_trips_over_them():
    config = read()
    config["datasets"]["demo"]["root"] = "data/{mine}"
    del config["datasets"]["demo"]["render"]
    with pytest.raises(UserError, match=r"datasets\.demo\.root: .* braces in a path"):
        check_config(config, SCHEMA)


def test_what_is_rendered_lies_below_results_whatever_its_name():
    config = read()
    config["datasets"]["people"] = config["datasets"].pop("demo")
    check_config(config, SCHEMA)
    experiment = Experiment(config)
    assert experiment.datasets["people"].root == "results/people/release"
    assert experiment.datasets["people"].render.people == 20
    assert list(experiment.stored) == ["people", "demo-stills"]


def test_later_layers_win_key_by_key():
    config = change(["datasets", "demo", "train"], {"lr": 0.5, "augment": {"flip": 0.0}})
    config["variants"]["full"] = {"train": {"lr": 0.25}}
    experiment = Experiment(config)
    settings = experiment.settings("demo", "full")
    assert settings.train.lr == 0.25 and settings.train.augment.flip == 0.0
    assert settings.train.batch == config["train"]["batch"]
    assert settings.train.augment.hue == config["train"]["augment"]["hue"]
    assert settings.train.augment.crop_scale == RunSettings().train.augment.crop_scale
    assert experiment.settings("demo", "baseline").train.lr == 0.5


def test_a_smaller_share_is_trained_on_for_as_many_steps():
    experiment = Experiment(change(["train", "epochs"], 12))
    whole, quarter = (experiment.settings("demo", "full", share).train for share in (1, 0.25))
    assert (whole.share, whole.epochs, whole.warmup_epochs) == (1, 12, 1)
    assert (quarter.share, quarter.epochs, quarter.warmup_epochs) == (0.25, 48, 4)
    assert whole == experiment.settings("demo", "full").train
    assert experiment.run_key("demo", "full", 0.25) != experiment.run_key("demo", "full")


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ({"schedule": "step", "milestones": (4, 6)}, {"epochs": 48, "milestones": (16, 24)}),
        ({"schedule": "plateau", "patience": 2}, {"patience": 8, "milestones": (30, 40)}),
        ({"schedule": "cosine", "restart": 3}, {"restart": 12, "patience": 10}),
        (
            {"stages": ({"epochs": 5, "lr": 1.0}, {"epochs": 7, "patience": 1})},
            {"epochs": 48, "stages": ({"epochs": 20, "lr": 1.0}, {"epochs": 28, "patience": 4})},
        ),
        (
            {"milestones": (4,), "stages": ({"epochs": 4}, {"epochs": 8, "schedule": "step"})},
            {"epochs": 48, "milestones": (16,)},
        ),
    ],
)
def test_all_that_is_counted_in_epochs_grows_as_the_share_shrinks(recipe, expected):
    quarter = TrainSettings(epochs=12, warmup_epochs=1, min_lr=0.0, **recipe).with_share(0.25)
    assert quarter.share == 0.25 and quarter.warmup_epochs == 4
    for name, value in expected.items():
        assert getattr(quarter, name) == value


def test_a_table_has_its_own_seeds_or_those_of_all():
    config = change(["table_seeds"], {"3": [5, 6]})
    config["seeds"] = [0, 1]
    check_config(config, SCHEMA)
    experiment = Experiment(config)
    assert experiment.seeds_of(3) == [5, 6] and experiment.seeds_of(1) == [0, 1]


def test_a_run_is_its_settings_not_its_name():
    same = RunSettings.from_dict({"model": {"blocks": 2}, "train": {"lr": 2e-5}})
    assert same.key == RunSettings().key
    assert same.key.startswith("interfit+msta+biehpro2.")
    assert RunSettings.from_dict({"train": {"betas": [0.9, 0.98], "batch": 32}}).key == same.key
    other = RunSettings.from_dict({"model": {"alpha": 1}})
    assert other.key == RunSettings.from_dict({"model": {"alpha": 1.0}}).key != same.key
    baseline = RunSettings.from_dict(
        {"model": {"interfit": False, "aggregation": "mean", "blocks": 0}}
    )
    assert baseline.key.startswith("backbone.")
    with pytest.raises(TypeError, match="has no lrr"):
        RunSettings.from_dict({"train": {"lrr": 1}})


def test_a_working_folder_without_this_repository_s_files_gets_them(tmp_path, monkeypatch):
    config = read()
    monkeypatch.chdir(ROOT)
    assert with_own_files(config, ROOT) == config
    monkeypatch.chdir(tmp_path)
    found = with_own_files(config, ROOT)
    for models in (found["backbone"]["model"], found["pretrain"]["model"]):
        assert Path(models).is_file() and Path(models).resolve().is_relative_to(ROOT)
    assert found["datasets"] == config["datasets"]


# ── What YAML reads other than it is written ────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seeds: [0]\ntrain: {lr: 1}\nseeds: [1]\n", r"line 3: the key seeds .* in line 1; keep"),
        ("train:\n  lr: 1\n  batch: 2\n  lr: 2\n", r"line 4: the key lr stands .* in line 2"),
        ('{"a": [{"b": 1,\n "b": 2}]}', r"line 2: the key b .* line 1"),
    ],
)
def test_a_key_that_stands_twice_is_refused_with_its_line(text, message, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=rf"mine\.yaml, {message}"):
        check_config(read(), SCHEMA, [ROOT / "config/config.yaml", path])


def test_merged_and_repeated_mappings_are_no_key_that_stands_twice(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\nc: *a\n")
    check_config(read(), SCHEMA, [path])


def test_keys_that_are_no_text_are_named_as_they_are_written(tmp_path):
    labels = {"no": "'no'", "01": "first", "2024": "year", "~": "nothing"}
    text = (ROOT / "config/config.yaml").read_text()
    own = "".join(f"      {label}: {word}\n" for label, word in labels.items())
    text = text.replace("    classes:", f"    classes:\n{own}    none:", 1)
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    config = yaml.safe_load(text)
    with pytest.raises(UserError) as error:
        check_config(config, SCHEMA, [path])
    _, *lines = str(error.value).splitlines()
    start = text.splitlines().index("    classes:") + 2
    for number, (label, read_as) in enumerate(
        {"no": "False", "01": "1", "2024": "2024", "~": "None"}.items()
    ):
        line = f"line {start + number}: the key {label} is read as {read_as}; put it in quotes"
        assert f'{line}: "{label}"' in lines[number]
    with pytest.raises(UserError, match=r"classes: a key is read as False, .* put it in quotes"):
        check_config(config, SCHEMA)


def test_a_word_that_is_read_as_something_else_is_to_be_put_in_quotes():
    with pytest.raises(UserError, match=r"classes\.sad: False is not .*'string'; put it in quotes"):
        check_config(change(["datasets", "demo", "classes", "sad"], False), SCHEMA)


def test_each_missing_key_is_named_once():
    config = read()
    for key in ("classes", "folds", "shards"):
        del config["datasets"]["demo"][key]
    with pytest.raises(UserError) as error:
        check_config(config, SCHEMA)
    _, *lines = str(error.value).splitlines()
    expected = [f"datasets.demo: the key {key!r} is missing" for key in ("classes", "folds")]
    assert [line.strip() for line in sorted(lines)] == [
        *expected,
        "datasets.demo: the key 'shards' is missing",
    ]


@pytest.mark.parametrize("word", [" ", "\t\u00a0"])
def test_a_blank_class_word_is_refused(word):
    with pytest.raises(UserError, match=r"demo\.classes\.sad: the class word is blank"):
        check_config(change(["datasets", "demo", "classes", "sad"], word), SCHEMA)


def test_words_that_clip_reads_alike_are_one():
    with pytest.raises(UserError, match=r"two classes have the word 'fear'"):
        check_config(change(["datasets", "demo", "classes", "sad"], " Fear "), SCHEMA)


# ── Methods and protocols ───────────────────────────────────────────────────────────────────────


def all_on(name="paper.yaml"):
    """A configuration with every variant enabled."""
    return read(name) | {"enable": "all"}


def test_the_paper_s_configuration_holds_with_all_methods():
    """And each row of Tables 1 and 5 that a method of ours can fill names its variant."""
    config = all_on()
    check_config(config, SCHEMA)
    experiment = Experiment(config)
    printed = reported.read(ROOT / "config/reported.csv")
    tables = experiment.table_variants(reported.variants(printed))
    assert len(tables[5]) == 16 and len(tables[1]) == 15 + 4 + 13  # with those as published
    reported_only = {c.method for c in printed if c.table == 1 and not c.variant}
    assert reported_only == {"DPCNet", "LOGO-Former", "AEN", "MSCM", "T-MEP"}
    used = {experiment.settings("dfew", name).method for name in tables[5] + tables[1]}
    assert used == set(methods())
    assert not any(
        values.get("enabled", True)
        for name, values in read("paper.yaml")["variants"].items()
        if experiment.settings("dfew", name).method != OWN
    )


def test_networks_without_clip_have_their_own_frames_and_name_no_clip():
    experiment = Experiment(all_on())
    for name in experiment.variants:
        own = experiment.settings("mafw", name)
        if not own.model.uses_clip:
            assert own.model == dataclasses.replace(own.model, frames=type(own.model).frames)
            assert own.backbone.model == "" and own.backbone.weights is None


def test_the_benchmark_has_each_method_and_all_rows_that_tables_1_and_5_can_have():
    """Under one protocol; and prompts fit the demo's CLIP."""
    config = read("benchmark.yaml")
    check_config(config, SCHEMA)
    experiment = Experiment(config)
    printed = reported.read(ROOT / "config/reported.csv")
    rows = {c.variant for c in printed if c.table in (1, 5) and c.value}
    assert rows - {""} == set(experiment.variants) - {"r3d18"}  # whose value stands in another row
    settings = {name: experiment.settings("demo", name) for name in experiment.variants}
    assert {own.method for own in settings.values()} == set(methods())
    assert len({own.key for own in settings.values()}) == len(settings)
    assert {(own.train.checkpoint, own.protocol) for own in settings.values()} == {("last", "")}
    for own in settings.values():
        if own.method == OWN:
            continue
        words = list(config["datasets"]["demo"]["classes"].values())
        text = torch.zeros(len(words), 128)
        build(own.model, dataclasses.replace(own.backbone, weights=None), words, text)


def test_the_benchmark_is_of_the_demo_as_it_is():
    """So that its stages are shared: nothing is rendered or taught twice."""
    demo, benchmark = read("config.yaml"), read("benchmark.yaml")
    for section in ("backbone", "model", "train", "pretrain", "seeds"):
        assert benchmark[section] == demo[section]
    assert {**benchmark["datasets"]["demo"], "folds": None} == {
        **demo["datasets"]["demo"],
        "folds": None,
    }
    for name in {*demo["variants"]} & {*benchmark["variants"]}:
        assert benchmark["variants"][name] == demo["variants"][name]


def test_enable_all_turns_every_variant_on():
    experiment = Experiment(all_on())
    assert list(experiment.variants) == list(read("paper.yaml")["variants"])


def test_a_variant_that_is_off_is_not_there():
    experiment = Experiment(read("paper.yaml"))
    assert "coop" not in experiment.variants and "full" in experiment.variants
    experiment = Experiment(read("paper.yaml") | {"enable": ["coop"]})
    assert "coop" in experiment.variants and "cocoop" not in experiment.variants
    config = read("paper.yaml")
    config["tuning"]["dfew"]["variant"] = "coop"
    with pytest.raises(UserError, match=r"dfew\.variant: 'coop' is off; name it in `enable`"):
        check_config(config, SCHEMA)


def test_a_method_takes_of_the_layers_below_the_keys_that_it_has():
    config = change(["model"], {"frames": 4, "blocks": 3, "temperature": 0.02})
    config["variants"]["coop"] = {"model": {"method": "coop", "context": 4}}
    check_config(config, SCHEMA)
    model = Experiment(config).settings("demo", "coop").model
    assert (model.frames, model.temperature, model.context) == (4, 0.02, 4)
    assert Experiment(config).settings("demo", "full").model.blocks == 3


def test_a_protocol_stands_above_the_dataset_and_below_the_variant():
    config = all_on()
    config["variants"]["coop_as_published"] = {
        "protocol": "as_published",
        "model": {"method": "coop"},
        "train": {"augment": {"flip": 0.0}},
    }
    experiment = Experiment(config)
    same, published = (experiment.settings("dfew", f"coop{x}") for x in ("", "_as_published"))
    assert (same.protocol, same.model.frames, same.train.checkpoint) == ("", 8, "last")
    assert published.protocol == "as_published" and published.model.frames == 16
    assert published.backbone.normalise == "none" and published.train.checkpoint == "test"
    augment = published.train.augment
    assert (augment.brightness, augment.flip, augment.crop_law) == (0.5, 0.0, "swapped")
    elsewhere = experiment.settings("ferv39k", "coop_as_published").train.augment
    assert (elsewhere.brightness, elsewhere.rotation) == (0.0, 4.0)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"method": "coop", "contxt": 4}, r"model: no key 'contxt'; did you mean 'context'\?"),
        ({"method": "coop", "blocks": 2}, r"model: no key 'blocks'; there is class_specific, "),
        ({"method": "cooop"}, r"model\.method: no choice 'cooop'; did you mean 'coop'\?"),
        ({"method": "coop", "position": "ende"}, r"no choice 'ende'; did you mean 'end'\?"),
        ({"method": "cocoop", "context": 0}, r"model\.context: 0 is less than the minimum of 1"),
        ({"method": "zero_shot", "templates": ["a face"]}, r"templates: 'a face' has no \{word\}"),
        ({"method": "dfer_clip"}, r"descriptors: none of the class word 'happiness'"),
        (
            {"method": "dfer_clip", "frames": 17, "descriptors": dict.fromkeys(SEVEN, "a face.")},
            r"positions: 17 frames need 18 of them",
        ),
        ({"context": 4}, r"model: no key 'context'"),  # of no other method than ours
    ],
)
def test_a_fault_in_a_method_s_settings_is_named(model, message):
    with pytest.raises(UserError, match=message):
        check_config(change(["variants", "mine"], {"model": model}), SCHEMA)


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["enable"], ["ful"], r"enable: no variant 'ful'; did you mean 'full'\?"),
        (["enable"], "coop", r"enable: 'coop' is no list; write \[coop\], or all for every"),
        (["variants", "full"], {"protocol": "publ"}, r"full\.protocol: no protocol 'publ'"),
        (["datasets", "demo", "protocols"], {"x": {}}, r"demo\.protocols: no protocol 'x'"),
        (["train", "stages"], [{"lr": 1}], r"train\.stages\.0: the key 'epochs' is missing"),
        (["train", "frozen"], ["imag"], r"frozen: no part 'imag'; there is image, "),
    ],
)
def test_faults_of_protocols_and_recipes_are_named(keys, value, message):
    with pytest.raises(UserError, match=message):
        check_config(change(keys, value), SCHEMA)


@pytest.mark.parametrize("name", methods())
def test_the_schema_has_the_settings_of_each_method(name):
    """No more keys, and no fewer; and its choices."""
    rules = yaml.safe_load(SCHEMA.read_text())["$defs"][name]["properties"]
    fields = {field.name: field for field in dataclasses.fields(method_settings(name))}
    assert set(rules) - {"method"} == set(fields)
    for key, field in fields.items():
        if choices := typing.get_args(field.type) if "Literal" in str(field.type) else ():
            assert rules[key]["enum"] == list(choices)


@pytest.mark.parametrize(
    ("section", "settings"), [("train", TrainSettings), ("backbone", BackboneSettings)]
)
def test_the_schema_has_all_settings_of_a_section(section, settings):
    rules = yaml.safe_load(SCHEMA.read_text())["$defs"][section]["properties"]
    assert set(rules) == {field.name for field in dataclasses.fields(settings)}
    stage = yaml.safe_load(SCHEMA.read_text())["$defs"]["stage"]["properties"]
    for field in dataclasses.fields(settings):
        choices = typing.get_args(field.type) if "Literal" in str(field.type) else ()
        if field.name == "sampler":
            choices = (*SAMPLERS, "freq_hd")
        for own in (rules, stage if section == "train" else {}):
            if choices and field.name in own:
                assert set(own[field.name]["enum"]) == set(choices)


def with_study(parameter, low, high):
    config = change(["variants", "coop"], {"model": {"method": "coop", "context": 4}})
    space = {parameter: {"name": "IntDistribution", "low": low, "high": high}}
    study = {"variant": "coop", "rounds": 1, "width": 1, "space": space}
    return config | {"tuning": {"context": study}}


def test_a_study_tunes_the_settings_of_its_variant_s_method():
    config = with_study("model.context", 1, 8)
    check_config(config, SCHEMA)
    study = Experiment(config).study("demo", "context")
    assert study.own_parameters() == {"model.context": 4}
    assert study.trial_settings({"model.context": 2}).model.context == 2
    assert study.trial_settings({}).method == "coop"


@pytest.mark.parametrize(
    ("study", "message"),
    [
        (("model.blocks", 1, 4), r"space: no parameter 'model\.blocks'"),
        (("model.context", 0, 4), r"space\.model\.context: 0 is less than the minimum of 1"),
    ],
)
def test_a_study_of_what_its_method_has_not_is_refused(study, message):
    with pytest.raises(UserError, match=message):
        check_config(with_study(*study), SCHEMA)


def test_the_benchmark_holds_with_a_dataset_in_place_of_the_demo():
    """As its first lines say: the dataset, and a CLIP of one's own."""
    config, paper = read("benchmark.yaml"), read("paper.yaml")
    config["datasets"] = {"ferv39k": dict(paper["datasets"]["ferv39k"])}
    del config["datasets"]["ferv39k"]["protocols"], config["pretrain"]
    config["backbone"] = paper["backbone"]
    check_config(config, SCHEMA)
    assert set(Experiment(config).variants) == set(config["variants"])
