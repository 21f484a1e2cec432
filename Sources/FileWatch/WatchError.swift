import Glibc
import SystemPackage

/// Why a tree cannot be watched.
package enum WatchError: Error, Sendable {
  /// EMFILE from inotify_init1(2): the user's limit of instances, or the process's limit of open files, is
  /// reached.
  case instanceLimit(WatchLimits)
  /// Another system call failed, on this path if it has one.
  case system(operation: String, path: FilePath?, Errno)
  /// `stop()` was called.
  case stopped
}

extension WatchError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .instanceLimit(let limits):
      return "inotify_init1: \(Errno.tooManyOpenFiles); \(limits.instanceAdvice)"
    case .system(let operation, let path, let errno):
      let place = path.map { " \($0)" } ?? ""
      return "\(operation)\(place): \(errno)\(remedy(errno))"
    case .stopped:
      return "the watch has been stopped"
    }
  }

  private func remedy(_ errno: Errno) -> String {
    switch errno {
    case .noSuchFileOrDirectory: "; make the directory first, and mount /proc where it is missing"
    case .notDirectory: "; only a directory can be watched"
    case .permissionDenied: "; watching needs permission to read the directory"
    case .tooManyOpenFiles: "; raise the limit of open files (ulimit -n)"
    case .noFunction: "; this kernel has no inotify"
    default: ""
    }
  }
}
