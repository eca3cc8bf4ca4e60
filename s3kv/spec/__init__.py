"""How a store is described: bucket names, URLs and the JSON spec. Pure: nothing is looked up."""
