"""``convnets evaluate``: a trained network on a test split."""

from __future__ import annotations

from convnets.cli import options


def command(
    checkpoint: options.Checkpoint,
    data: options.Data = "digits",
    data_dir: options.DataDir = None,
    skip_bad: options.SkipBad = False,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    json: options.Json = False,
) -> int:
    """Test a trained network on a data set with its classes."""
    from convnets.cli.console import say, show, tracked
    from convnets.files import to_json
    from convnets.report.tables import evaluation_table
    from convnets.training.engine import choose_engine
    from convnets.weights import evaluate_on, load_model

    engine = choose_engine(device, precision)
    loaded = load_model(checkpoint)
    for note in loaded.notes:
        say(note)
    image_set = options.loaded_data(data, data_dir, skip_bad)
    with tracked("testing") as progress:
        record = evaluate_on(loaded, image_set, engine, progress=progress).to_dict()
    show(to_json(record) if json else evaluation_table(record))
    return 0
