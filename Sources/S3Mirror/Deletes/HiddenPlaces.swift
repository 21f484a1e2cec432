import LocalTree

/// Returns the places below a root where files may be invisible, because a filesystem was mounted or
/// unmounted there.
typealias HiddenPlaces = @Sendable (TreeRoot) throws(TreeError) -> TreeMounts.View
