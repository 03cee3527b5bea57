def findings(path):
    return []
