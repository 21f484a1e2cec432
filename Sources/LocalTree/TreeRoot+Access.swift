import Glibc
import SystemPackage

extension TreeRoot {
  /// Checks that this process may list the root and open its entries.
  ///
  /// The open descriptor does not show this, because each open(2) below it checks the permissions again.
  package func checkAccess() throws(TreeError) {
    do {
      try fileSystem.checkAccess(path.string, R_OK | X_OK)
    } catch {
      throw TreeError(.openRoot, path: path.string, errno: error)
    }
  }

  /// Whether this process certainly may no longer read the root.
  package var isForbidden: Bool {
    do {
      try checkAccess()
      return false
    } catch {
      return error.errno == .permissionDenied
    }
  }
}
