"""`.env.example` is made from the settings, and must not lag behind them."""

from tradingsite import env


def test_the_example_is_fresh() -> None:
    kept = (env.BASE_DIR / ".env.example").read_text(encoding="utf-8")
    assert kept == env.example(), "run `make envexample`"


def test_the_example_names_every_variable_and_no_secret() -> None:
    text = env.example()
    assert all(f"# {name.upper()}=" in text for name in env.Env.model_fields)
    assert all(f"# {name}=\n" in text for name in env.secret_names())
