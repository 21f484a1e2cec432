import Foundation
import Glibc
import MirrorModel

/// The regular files of a tree as the test itself reads them, and the names that hold something else.
///
/// Of two spellings that Swift's strings call equal (NFC and NFD), a tree and a bucket may hold both.
struct TreePicture {
  var files: [RelativePath: [UInt8]] = [:]
  /// Symbolic links: what was published under their names, and below, stays on S3: a link is no absence (LINK-5).
  var links: Set<RelativePath> = []

  init(of root: String) throws {
    try read(root, .root)
  }

  private mutating func read(_ root: String, _ relative: RelativePath) throws {
    for name in try FileManager.default.contentsOfDirectory(atPath: root + "/" + relative.string) {
      let path = relative.appending(name)
      var status = stat()
      guard lstat(root + "/" + path.string, &status) == 0 else { continue }
      switch status.st_mode & S_IFMT {
      case S_IFDIR: try read(root, path)
      case S_IFREG:
        files[path] = Array(try Data(contentsOf: URL(fileURLWithPath: root + "/" + path.string)))
      default: links.insert(path)
      }
    }
  }

  /// What differs from the objects of a bucket, a line each.
  func differences(from objects: [RelativePath: [UInt8]]) -> [String] {
    differencesByPath(from: objects).values.sorted()
  }

  func differencesByPath(from objects: [RelativePath: [UInt8]]) -> [RelativePath: String] {
    var lines: [RelativePath: String] = [:]
    for (path, bytes) in files {
      guard let object = objects[path] else {
        lines[path] = "missing \(path) (\(SelfDescribingContent.verdict(on: bytes)))"
        continue
      }
      if object != bytes {
        lines[path] =
          "different \(path): the file is \(SelfDescribingContent.verdict(on: bytes)), \(bytes.count) bytes; the object is \(SelfDescribingContent.verdict(on: object)), \(object.count) bytes"
      }
    }
    for path in objects.keys where files[path] == nil && !isBelowLink(path) { lines[path] = "extra \(path)" }
    return lines
  }

  private func isBelowLink(_ path: RelativePath) -> Bool {
    ([path] + path.ancestors).contains(where: links.contains)
  }
}
