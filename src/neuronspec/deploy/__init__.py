"""Models as they are used: compact and CTranslate2 folders, and translating with them."""
