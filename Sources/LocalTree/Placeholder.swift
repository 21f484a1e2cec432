// LocalTree
