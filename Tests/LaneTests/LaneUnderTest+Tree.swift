import MirrorModel
import TestSupport

@testable import S3Mirror

// What programs do to the tree. Without a kernel's watch, each function also reports its events.
extension LaneUnderTest {
  func write(_ path: String, _ text: String) throws {
    let full = tree + "/" + path
    var events = missingDirectories(above: path).map { WatchEvent.directoryAppeared(RelativePath($0)) }
    if !files.exists(full) { events.append(.created(RelativePath(path))) }
    try files.write(full, text)
    report(events + [.modified(RelativePath(path)), .closed(RelativePath(path))], of: path)
  }

  /// To be moved into the tree, as writers do that replace their files.
  func writeOutside(_ name: String, _ text: String) throws { try files.write(outside + "/" + name, text) }

  func remove(_ path: String) throws {
    let events = reportedWatch == nil ? [] : try removals(of: path)
    try files.removeTree(tree + "/" + path)
    report(events, of: path)
  }

  /// - Parameters: paths below the directory that holds the tree.
  func move(_ from: String, _ to: String) throws {
    try files.rename(directory + "/" + from, to: directory + "/" + to)
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
    try files.link(tree + "/" + from, to: tree + "/" + to)
    report([.created(RelativePath(to)), .linked(RelativePath(to))])
  }

  func symlink(_ path: String, to target: String) throws {
    try files.symlink(tree + "/" + path, to: target)
    report([.created(RelativePath(path))])
  }

  func makeDirectory(_ path: String) throws {
    try files.makeDirectory(tree + "/" + path)
    report([.directoryAppeared(RelativePath(path))])
  }

  /// Opens a file, writes at its end, and closes it.
  func append(_ path: String, _ text: String) throws {
    try files.append(tree + "/" + path, text)
    report([.modified(RelativePath(path)), .closed(RelativePath(path))])
  }

  /// Opens a file for writing; it is reported as created if it is new.
  func open(_ path: String, _ options: OpenOptions = [.create]) throws -> any ProgramFile {
    let isNew = !files.exists(tree + "/" + path)
    let file = try files.open(tree + "/" + path, options)
    if isNew { report([.created(RelativePath(path))]) }
    if options.contains(.emptied) { report([.modified(RelativePath(path))]) }
    return file
  }

  // MARK: Events

  private func report(_ events: [WatchEvent], of path: String) {
    if !path.hasPrefix("..") { report(events) }
  }

  /// The outermost first.
  private func missingDirectories(above path: String) -> [String] {
    guard let end = path.lastIndex(of: "/") else { return [] }
    let parent = String(path[..<end])
    if files.exists(tree + "/" + parent) { return [] }
    return missingDirectories(above: parent) + [parent]
  }

  private func pathInTree(_ path: String) -> String? {
    path.hasPrefix("tree/") ? String(path.dropFirst("tree/".count)) : nil
  }

  private func isDirectory(_ path: String) -> Bool { files.isDirectory(tree + "/" + path) }

  private func names(in directory: String) throws -> [String] {
    try files.names(in: tree + "/" + directory).map { directory + "/" + $0 }
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
