import Foundation
import Glibc
import MirrorModel
import Testing

@testable import S3Mirror

// What programs do to the tree. Without a kernel's watch, each function also reports its events.
extension LaneUnderTest {
  func write(_ path: String, _ text: String) throws {
    let full = tree + "/" + path
    var events = missingDirectories(above: path).map { WatchEvent.directoryAppeared(RelativePath($0)) }
    if access(full, F_OK) != 0 { events.append(.created(RelativePath(path))) }
    let parent = full.lastIndex(of: "/").map { String(full[..<$0]) } ?? full
    try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
    // In place: Data.write(to:) would too, but only by default.
    let descriptor = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    try #require(descriptor >= 0)
    defer { report(events + [.modified(RelativePath(path)), .closed(RelativePath(path))], of: path) }
    defer { close(descriptor) }
    let bytes = Array(text.utf8)
    try #require(bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) } == bytes.count)
  }

  /// To be moved into the tree, as writers do that replace their files.
  func writeOutside(_ name: String, _ text: String) throws {
    try text.write(toFile: outside + "/" + name, atomically: false, encoding: .utf8)
  }

  func remove(_ path: String) throws {
    let events = reportedWatch == nil ? [] : try removals(of: path)
    try FileManager.default.removeItem(atPath: tree + "/" + path)
    report(events, of: path)
  }

  /// - Parameters: paths below the directory that holds the tree.
  func move(_ from: String, _ to: String) throws {
    try #require(rename(directory + "/" + from, directory + "/" + to) == 0)
    guard reportedWatch != nil else { return }
    switch (pathInTree(from), pathInTree(to)) {
    case (let from?, let to?):
      guard isDirectory(to) else { return report([.renamed(from: RelativePath(from), to: RelativePath(to))]) }
      let files = try files(below: to).map { file in
        WatchEvent.renamed(from: RelativePath(from + file.dropFirst(to.count)), to: RelativePath(file))
      }
      report([.directoryRenamed(from: RelativePath(from), to: RelativePath(to))] + files)
    case (let from?, nil):
      let isDirectory = isDirectory("../" + to)
      report([isDirectory ? .directoryMovedAway(RelativePath(from)) : .deleted(RelativePath(from))])
    case (nil, let to?): report(try arrivals(of: to))
    case (nil, nil): break
    }
  }

  func link(_ from: String, _ to: String) throws {
    try #require(Glibc.link(tree + "/" + from, tree + "/" + to) == 0)
    report([.created(RelativePath(to)), .linked(RelativePath(to))])
  }

  func symlink(_ path: String, to target: String) throws {
    try #require(Glibc.symlink(target, tree + "/" + path) == 0)
    report([.created(RelativePath(path))])
  }

  func makeDirectory(_ path: String) throws {
    try #require(mkdir(tree + "/" + path, 0o755) == 0)
    report([.directoryAppeared(RelativePath(path))])
  }

  /// Opens a file, writes at its end, and closes it.
  func append(_ path: String, _ text: String) throws {
    let handle = try #require(FileHandle(forWritingAtPath: tree + "/" + path))
    try handle.seekToEnd()
    try handle.write(contentsOf: Data(text.utf8))
    try handle.close()
    report([.modified(RelativePath(path)), .closed(RelativePath(path))])
  }

  // MARK: Events

  private func report(_ events: [WatchEvent], of path: String) {
    if !path.hasPrefix("..") { report(events) }
  }

  /// The outermost first.
  private func missingDirectories(above path: String) -> [String] {
    guard let end = path.lastIndex(of: "/") else { return [] }
    let parent = String(path[..<end])
    if access(tree + "/" + parent, F_OK) == 0 { return [] }
    return missingDirectories(above: parent) + [parent]
  }

  private func pathInTree(_ path: String) -> String? {
    path.hasPrefix("tree/") ? String(path.dropFirst("tree/".count)) : nil
  }

  private func isDirectory(_ path: String) -> Bool {
    var status = stat()
    return lstat(tree + "/" + path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  private func names(in directory: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: tree + "/" + directory).sorted()
      .map { directory + "/" + $0 }
  }

  private func files(below directory: String) throws -> [String] {
    try names(in: directory).flatMap { try isDirectory($0) ? files(below: $0) : [$0] }
  }

  private func arrivals(of path: String) throws -> [WatchEvent] {
    guard isDirectory(path) else { return [.found(RelativePath(path))] }
    return try [.directoryAppeared(RelativePath(path))] + names(in: path).flatMap(arrivals)
  }

  private func removals(of path: String) throws -> [WatchEvent] {
    guard isDirectory(path) else { return [.deleted(RelativePath(path))] }
    return try names(in: path).flatMap(removals) + [.directoryDeleted(RelativePath(path))]
  }
}
