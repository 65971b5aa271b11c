"""The configuration: every shipped one holds, and what is wrong is named with its remedy."""

import copy
from pathlib import Path

import pytest
import yaml

from dfer.dag.configuration import check_config
from dfer.dag.experiment import Experiment
from dfer.errors import UserError
from dfer.settings import RunSettings

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"
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
        (["train", "warmup_epochs"], 20, r"warmup_epochs must be smaller than epochs"),
        (["datasets", "demo", "classes", "sad"], "fear", r"two classes have the word 'fear'"),
    ],
)
def test_a_fault_is_named_with_its_remedy(keys, value, message):
    with pytest.raises(UserError, match=message):
        check_config(change(keys, value), SCHEMA)


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
