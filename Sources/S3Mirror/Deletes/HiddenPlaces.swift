import LocalTree

/// Tells below which places of a root files may be out of sight now, since a filesystem was mounted or unmounted there.
typealias HiddenPlaces = @Sendable (TreeRoot) throws(TreeError) -> TreeMounts.View
