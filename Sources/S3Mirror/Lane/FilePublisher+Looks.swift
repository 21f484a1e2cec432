import LocalTree
import MirrorModel
import Transfers

// What a publication learns of its file before anything waits. These functions are not async, so that their variables
// are not kept while a request is in flight.
extension FilePublisher {
  /// What is to be done for a path.
  enum FirstLook {
    /// Nothing more.
    case settled(Outcome)
    /// The path is an in-progress mark that has come and gone.
    case briefMark
    /// The path is a symbolic link, and links are published as such.
    case link(FileStamp)
    case file(TreeRoot.Entry)
  }

  func firstLook(at path: RelativePath, _ entry: DirtyEntry?) throws -> FirstLook {
    if entry?.purpose == .undecodable {
      return .settled(try root.holdsUndecodable(path) ? .refused(KeyMapping.undecodableName) : .unneeded)
    }
    let refusal = mapping.refusal(of: path)
    // A refused path never had an object, so nothing is to be done if its file is gone.
    guard let found = try root.look(at: path) else {
      if entry?.isBriefMark == true, refusal == nil { return .briefMark }
      return .settled(refusal == nil ? .absent : .unneeded)
    }
    if let refusal { return .settled(.refused(refusal)) }
    switch found.kind {
    case .directory: return .settled(.isDirectory)
    case .symbolicLink where root.symlinks == .link: return .link(found.stamp)
    case .symbolicLink:
      linkMet(path)
      return .settled(.skipped(.symbolicLink))
    case .special: return .settled(.skipped(.special))
    case .file: break
    }
    // The marker would be withdrawn before a change of its data. No such change came: it is on S3 still.
    if entry?.purpose == .recheck, markerGate.isMarker(path),
      ledger.record(of: path, matching: found.stamp, allowing: .none) != nil
    {
      return .settled(.unneeded)
    }
    return .file(found)
  }

  /// Whether a program has a file of `appendNames` open, and such files are published.
  ///
  /// - Parameter content: the file to which the path leads.
  func isOpenAppended(_ path: RelativePath, _ content: RelativePath, _ openFiles: OpenFiles) throws -> Bool {
    guard openFiles == .snapshot, appendNames.contains(path), !markerGate.isMarker(path) else { return false }
    return try root.open(content).map { $0.probeWriters() != .none } ?? false
  }

  func waitsForWriter(
    _ path: RelativePath, _ content: RelativePath, _ found: TreeRoot.Entry, _ entry: DirtyEntry?,
    _ policy: OpenFilePolicy
  ) throws -> Bool {
    if entry?.isWrittenElsewhere == true, ledger.holdsSnapshot(of: path, found.stamp),
      try root.open(content)?.probeWriters() == .present
    {
      return true
    }
    // If the kernel cannot report whether a process writes the file, the watch's report decides.
    guard policy == .wait, entry?.isOpen == true, let file = try root.open(content) else { return false }
    return file.probeWriters() != .none
  }

  /// The result of a publication that an error has ended.
  func outcome(of path: RelativePath, after error: any Error) -> Outcome {
    if let abandoned = error as? UploadAbandoned {
      // The link's old target is gone, and the link leads elsewhere.
      if abandoned == .vanished, pointee(of: path) != nil { return .waiting(.changed) }
      if case .restless(let restlessness) = abandoned, uploader.restless.takeNews(of: path, restlessness) {
        journal.notice("\(name): \(path) waits: \(abandoned)")
      }
      return abandoned == .vanished ? .absent : .waiting(abandoned)
    }
    if let link = (error as? TreeError)?.linkAbove {
      linkMet(link)
      return .skipped(.symbolicLink)
    }
    return failed(path, error)
  }

  /// The paths whose files are uploaded in parts and take long, judged by the files' sizes now.
  func large(among paths: [RelativePath]) -> Set<RelativePath> {
    let threshold = max(uploader.settings.singleThreshold, uploader.settings.stagedThreshold)
    return Set(paths.filter { path in likelySize(of: path).map { $0 > threshold } ?? false })
  }

  /// The sizes of the files as they are now; paths without a file are left out.
  func sizes(of paths: [RelativePath]) -> [RelativePath: Int64] {
    var sizes: [RelativePath: Int64] = [:]
    for path in paths { sizes[path] = likelySize(of: path) }
    return sizes
  }

  /// The size of the file at a path; nil if there is none. One system call for nearly every file. Nothing may
  /// depend on it: a file may change its size at any time.
  private func likelySize(of path: RelativePath) -> Int64? {
    guard let glance = root.glance(at: path), glance.kind != .symbolicLink else {
      return root.stamp(ofFileAt: path)?.size
    }
    return glance.kind == .file ? glance.stamp.size : nil
  }
}
