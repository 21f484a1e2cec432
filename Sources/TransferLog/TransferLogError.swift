import SystemPackage

/// Why the transfer log could not be written or read.
package struct TransferLogError: Error, Sendable, Hashable, CustomStringConvertible {
  package enum Operation: String, Sendable, Hashable {
    case createDirectory = "create the directory"
    case create = "create"
    case write = "write"
    case close = "close"
    case compress = "compress records for"
    case list = "list"
    case expire = "remove the expired log"
    case open = "open"
    case read = "read"
  }

  package var operation: Operation
  package var path: String
  package var cause: String
  package var remedy: String

  package init(_ operation: Operation, path: FilePath, cause: String, remedy: String) {
    self.operation = operation
    self.path = path.string
    self.cause = cause
    self.remedy = remedy
  }

  init(_ operation: Operation, path: FilePath, errno: Errno) {
    let remedy =
      switch errno {
      case .noSpace, .diskQuotaExceeded: "free some space there"
      case .permissionDenied, .notPermitted, .readOnlyFileSystem: "allow this user to write there"
      case .tooManyOpenFiles, .tooManyOpenFilesInSystem: "raise the limit of open files (ulimit -n)"
      default: "choose another log directory with XDG_STATE_HOME"
      }
    self.init(operation, path: path, cause: errno.description, remedy: remedy)
  }

  package var description: String {
    "transfer log: cannot \(operation.rawValue) \(path): \(cause); \(remedy)"
  }
}
