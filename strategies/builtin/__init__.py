"""The strategies that come with the product: one module each."""
