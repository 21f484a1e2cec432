import CLinux
import Glibc
import SystemPackage

extension TreeRoot {
  /// Makes sure that this process may list the root and open what is in it.
  ///
  /// The directory that is held open does not tell: its permissions are asked at each open(2) below it.
  package func checkAccess() throws(TreeError) {
    do {
      _ = try uninterrupted { faccessat(AT_FDCWD, path.string, R_OK | X_OK, AT_EACCESS) }
    } catch {
      throw TreeError(.openRoot, path: path.string, errno: error)
    }
  }

  /// Whether it is known that this process may not read the root any more.
  package var isForbidden: Bool {
    do {
      try checkAccess()
      return false
    } catch {
      return error.errno == .permissionDenied
    }
  }
}
