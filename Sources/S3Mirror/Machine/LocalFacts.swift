import FoundationEssentials
import Glibc
import LocalTree
import MirrorModel
import SystemPackage

/// What a process knows of its surroundings.
struct ProcessEnvironment: Sendable {
  let variables: [String: String]
  let homeDirectory: String
  let workingDirectory: String

  /// - Parameter variables: stands in for the process's own environment.
  init(overriding variables: [String: String]?) {
    let variables = variables ?? ProcessInfo.processInfo.environment
    self.variables = variables
    homeDirectory = variables["HOME"] ?? FileManager.default.homeDirectoryForCurrentUser.path
    workingDirectory = FileManager.default.currentDirectoryPath
  }
}

/// What lies at a path given by the user; links are followed. Nil when there is nothing.
///
/// - Throws: `TreeError` when that cannot be told.
func kind(at path: FilePath) throws -> EntryKind? {
  guard let name = path.lastComponent else { return .directory }
  do throws(TreeError) {
    let parent = try TreeRoot(path: path.removingLastComponent(), symlinks: .follow)
    return try parent.look(at: RelativePath(name.string))?.kind
  } catch {
    guard error.errno == .noSuchFileOrDirectory || error.errno == .notDirectory else { throw error }
    return nil
  }
}

/// Whether a symbolic link lies at a path, wherever it leads.
///
/// - Throws: `TreeError` when that cannot be told.
func isLink(_ path: FilePath) throws(TreeError) -> Bool {
  guard let name = path.lastComponent else { return false }
  do throws(TreeError) {
    let parent = try TreeRoot(path: path.removingLastComponent(), symlinks: .skip)
    return try parent.look(at: RelativePath(name.string))?.kind == .symbolicLink
  } catch {
    guard error.errno == .noSuchFileOrDirectory || error.errno == .notDirectory else { throw error }
    return false
  }
}

/// Makes a directory and those above it, as far as they are missing.
///
/// - Throws: `MirrorError.local` that names the path.
func createDirectories(_ path: FilePath) throws {
  if mkdir(path.string, 0o777) == 0 { return }
  var code = Errno(rawValue: errno)
  if code == .noSuchFileOrDirectory, path.lastComponent != nil {
    try createDirectories(path.removingLastComponent())
    if mkdir(path.string, 0o777) == 0 { return }
    code = Errno(rawValue: errno)
  }
  // Other errors than EEXIST may be said of one that is there: on read-only mounts, by NFS.
  var status = stat()
  if stat(path.string, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { return }
  throw MirrorError(.local, "\(path) cannot be made a directory: \(code)")
}
