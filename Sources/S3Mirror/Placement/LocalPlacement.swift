import LocalTree
import MirrorModel
import SystemPackage

/// The local paths of remotes.
struct LocalPlacement: Sendable {
  let cacheRoot: String
  let homeDirectory: String
  let workingDirectory: String

  /// The local path of a spec: its own, or `<cacheRoot>/[<profile>@]<bucket>/<key>`.
  ///
  /// - Throws: `MirrorError.invalid` for keys that no path can hold.
  func path(for location: S3Location, local: String?) throws(MirrorError) -> FilePath {
    if let local { return absolute(local) }
    return absolute(cacheRoot).appending(try cached(location)).lexicallyNormalized()
  }

  /// The same path with its symbolic links.
  ///
  /// - Throws: `MirrorError.invalid` for keys that no path can hold.
  func named(for location: S3Location, local: String?) throws(MirrorError) -> FilePath {
    if let local { return named(local) }
    return named(cacheRoot).appending(try cached(location)).lexicallyNormalized()
  }

  /// `[<profile>@]<bucket>/<key>`.
  private func cached(_ location: S3Location) throws(MirrorError) -> String {
    let owner = location.profile.map { "\($0)@\(location.bucket)" } ?? location.bucket
    let key = location.key.utf8.last == UInt8(ascii: "/") ? String(location.key.dropLast()) : location.key
    if !key.isEmpty {
      do {
        _ = try KeyPlace(key: key)
      } catch {
        throw MirrorError(.invalid, "\(location.url): \(error); name a local path")
      }
    }
    return owner + "/" + key
  }

  /// Rejects texts that are no local paths: an empty text, which would mean the working directory, and a URL,
  /// which belongs in the remote.
  ///
  /// - Throws: `MirrorError.invalid` with the remedy.
  func check(local: String?, of name: String) throws(MirrorError) {
    guard let local else { return }
    if local.isEmpty {
      throw MirrorError(.invalid, "\(name): its local path is empty; write . for the working directory")
    }
    if S3Location.hasURLForm(local) {
      throw MirrorError(
        .invalid, "\(name): its local path \"\(local)\" is a URL; the local path comes before the remote")
    }
    if local.utf8.contains(0) {
      throw MirrorError(.invalid, "\(name): its local path has a zero byte, which no path can hold")
    }
  }

  /// Makes a path absolute, without `.` and `..`; `~` is the home directory. Links in existing parts are
  /// resolved, so that two names of one place give the same path.
  func absolute(_ text: String) -> FilePath { canonicalPath(named(text)) }

  /// The same path with its symbolic links.
  func named(_ text: String) -> FilePath {
    var path = FilePath(text)
    if text == "~" {
      path = FilePath(homeDirectory)
    } else if text.utf8.starts(with: "~/".utf8) {
      path = FilePath(homeDirectory).appending(String(text.dropFirst(2)))
    }
    if path.isRelative { path = FilePath(workingDirectory).appending(path.components) }
    return path.lexicallyNormalized()
  }
}
