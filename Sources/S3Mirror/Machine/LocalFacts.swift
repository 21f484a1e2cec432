import FoundationEssentials
import Glibc
import LocalTree
import MirrorModel
import SystemPackage

/// A process's environment variables and directories.
struct ProcessEnvironment: Sendable {
  let variables: [String: String]
  let homeDirectory: String
  let workingDirectory: String

  /// - Parameter variables: replaces the process's own environment if not nil.
  init(overriding variables: [String: String]?) {
    let variables = variables ?? ProcessInfo.processInfo.environment
    self.variables = variables
    homeDirectory = variables["HOME"] ?? FileManager.default.homeDirectoryForCurrentUser.path
    workingDirectory = FileManager.default.currentDirectoryPath
  }
}

/// What exists at a path that the user gave, with links followed. Nil if nothing exists.
///
/// - Throws: `TreeError` if this cannot be determined.
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

/// Whether the path is a symbolic link, with any target.
///
/// - Throws: `TreeError` if this cannot be determined.
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

/// Creates a directory and its missing parents.
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
  // For an existing directory, mkdir(2) may fail with an error other than EEXIST: on read-only mounts, or
  // over NFS.
  var status = stat()
  if stat(path.string, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { return }
  throw MirrorError(.local, "\(path) cannot be made a directory: \(code)")
}
