import MirrorModel
import SystemPackage

/// A system call on a local tree failed, or was not made because its failure was certain.
package struct TreeError: Error, Sendable, Hashable, CustomStringConvertible {
  package enum Operation: String, Sendable, Hashable {
    case openRoot = "open the root"
    case look = "look at"
    case open = "open"
    case list = "list"
    case read = "read"
    case createDirectory = "create the directory"
    case createPartial = "create the temporary file for"
    case createCopy = "make a private copy in"
    case write = "write"
    case publish = "put in place"
    case remove = "remove"
  }

  /// Details besides errno.
  package enum Detail: Sendable, Hashable {
    /// Bytes.
    case diskFull(needed: Int64, free: Int64)
    case notRegular(EntryKind)
    /// Another process downloads to the same target.
    case inUse
    /// A directory above the path is a symbolic link, and links are not followed. The text is the directory's
    /// path below the root.
    case behindLink(String)
    /// Another file got the name while this one was being written.
    case replaced
  }

  package let operation: Operation
  package let path: String
  package let errno: Errno
  package let detail: Detail?

  package init(_ operation: Operation, path: String, errno: Errno, detail: Detail? = nil) {
    self.operation = operation
    self.path = path
    self.errno = errno
    self.detail = detail
  }

  /// What the user can do, if anything.
  package var remedy: String? {
    switch detail {
    case .diskFull(let needed, let free): return "free \(needed - free) bytes more on that filesystem"
    case .notRegular: return "move it away or exclude the path"
    case .inUse: return "wait for the other download, or end it"
    case .behindLink: return "name the place it leads to, or have links followed"
    case .replaced: return "start the transfer again"
    case nil: break
    }
    switch errno {
    case .permissionDenied, .notPermitted: return "give this user permission, or exclude the path"
    case .noSpace, .diskQuotaExceeded: return "free space on that filesystem"
    case .readOnlyFileSystem: return "choose a directory on a writable filesystem"
    case .tooManyOpenFiles: return "raise the limit of open files (ulimit -n)"
    case .tooManyOpenFilesInSystem: return "raise the sysctl fs.file-max"
    case .tooManySymbolicLinkLevels: return "a symbolic link stands in the path; name the place it leads to"
    case .fileTooLarge: return "choose a filesystem that takes files of this size"
    default: return nil
    }
  }

  /// The symbolic link above the path, if it is the reason of the error.
  package var linkAbove: RelativePath? {
    if case .behindLink(let link) = detail { RelativePath(link) } else { nil }
  }

  package var description: String {
    let cause =
      switch detail {
      case .diskFull(let needed, let free): "the disk is full: \(needed) bytes are needed, \(free) are free"
      case .notRegular(let kind): "it is no regular file (\(kind))"
      case .inUse: "another process is downloading it"
      case .behindLink(let link): "\(link) is a symbolic link"
      case .replaced: "another file took its name meanwhile"
      case nil: errno.description
      }
    return "cannot \(operation.rawValue) \(path): \(cause)" + (remedy.map { "; \($0)" } ?? "")
  }
}
