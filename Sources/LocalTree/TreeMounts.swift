import CLinux
import Glibc
import MirrorModel
import Synchronization
import SystemPackage

/// What is mounted below a root, compared with what is expected there.
///
/// The kernel tells by poll(2) whether any mount changed since (proc(5), /proc/pid/mountinfo), so that a look at an unchanged
/// machine is one system call, whatever the number of mounts, directories and files.
///
/// A followed link that leads to a directory counts as a place of its own: what it leads to is on a filesystem that may be
/// unmounted, too.
package final class TreeMounts: Sendable {
  /// What is out of sight at one moment.
  package struct View: Sendable, Hashable {
    /// The places below which files may be out of sight: nothing there may be taken for deleted.
    package var hidden: Set<RelativePath>
    /// Counts the changes of any mount. Where two views have the same, nothing was mounted or unmounted between them.
    package var changes: Int

    package init(hidden: Set<RelativePath> = [], changes: Int = 0) {
      self.hidden = hidden
      self.changes = changes
    }
  }

  fileprivate struct State {
    var baseline: MountBaseline
    var present: [RelativePath: Mount]
    /// What the places are compared with that are given out as changed.
    var given: [RelativePath: Mount]
    /// The directory that `present` is about. A root that was lost and is back is opened anew.
    var root: TreeRoot
    /// A reading failed since the kernel told of a change.
    var isStale = false
    /// The followed links that were met.
    var links: Set<RelativePath> = []
    var changes = 0
  }

  private let table: OpenDescriptor
  private let followedLinks: @Sendable () -> [RelativePath]
  private let state: Mutex<State>

  /// Takes what is mounted now for what belongs there.
  ///
  /// - Parameter followedLinks: the links that are followed and were seen to lead to a directory.
  /// - Throws: where /proc is not to be read.
  package init(
    below root: TreeRoot, followedLinks: @escaping @Sendable () -> [RelativePath] = { [] }
  ) throws(TreeError) {
    self.followedLinks = followedLinks
    do {
      table = try MountTable.open()
      // The kernel tells of changes from here on.
      let present = root.mounts(in: try MountTable(from: table))
      state = Mutex(
        State(baseline: MountBaseline(present), present: present, given: present, root: root))
    } catch {
      throw TreeError(.look, path: "/proc/self/mountinfo", errno: error)
    }
  }

  /// The places where something was mounted or unmounted since the last call. What links lead to is compared at each tick anyway.
  package func takeChanges(below root: TreeRoot) throws(TreeError) -> Set<RelativePath> {
    try withState(below: root) { state in
      defer { state.given = state.present }
      let places = Set(state.given.keys).union(state.present.keys).subtracting(state.links)
      return places.filter { state.given[$0] != state.present[$0] }
    }
  }

  package func view(below root: TreeRoot) throws(TreeError) -> View {
    try withState(below: root) { View(hidden: $0.baseline.altered(by: $0.present), changes: $0.changes) }
  }

  /// The hidden places, with what is mounted there now.
  package func alterations(below root: TreeRoot) throws(TreeError) -> [RelativePath: Mount?] {
    try withState(below: root) { state in
      Dictionary(
        uniqueKeysWithValues: state.baseline.altered(by: state.present).map { ($0, state.present[$0]) })
    }
  }

  /// Takes what is mounted at a place now for what belongs there, if it is still this.
  ///
  /// To be called when a comparison has found a file for every object below the place.
  package func accept(_ mount: Mount?, at place: RelativePath, below root: TreeRoot) throws(TreeError) {
    try withState(below: root) { state in
      if state.present[place] == mount { state.baseline.accept(mount, at: place) }
    }
  }

  private func withState<Value: Sendable>(
    below root: TreeRoot, _ body: (inout State) -> Value
  ) throws(TreeError) -> Value {
    let links = followedLinks()
    let result: Result<Value, Errno> = state.withLock { state in
      if isChanged || state.root !== root { state.isStale = true }
      if state.isStale {
        do throws(Errno) {
          state.present = root.mounts(in: try MountTable(from: table))
        } catch {
          return .failure(error)
        }
        state.lookBehindLinks(root)
        state.root = root
        state.isStale = false
        state.changes += 1
      }
      for link in links where !state.links.contains(link) { state.meet(link, root) }
      return .success(body(&state))
    }
    switch result {
    case .success(let value): return value
    case .failure(let cause): throw TreeError(.look, path: "/proc/self/mountinfo", errno: cause)
    }
  }

  /// Whether the kernel's table changed since this was asked, or since it was opened.
  private var isChanged: Bool {
    var request = pollfd(fd: table.raw, events: Int16(POLLPRI), revents: 0)
    let answer = poll(&request, 1, 0)
    // Where poll(2) fails nothing is known.
    return answer < 0 || request.revents != 0
  }
}

extension TreeMounts.State {
  /// Takes the filesystem that a link leads to for the one that belongs there.
  fileprivate mutating func meet(_ link: RelativePath, _ root: TreeRoot) {
    guard let mount = root.mount(behind: link) else { return }
    links.insert(link)
    baseline.accept(mount, at: link)
    present[link] = mount
  }

  /// Looks again what the links lead to that were met.
  fileprivate mutating func lookBehindLinks(_ root: TreeRoot) {
    for link in links {
      guard let target = root.target(of: link) else {
        // It was removed.
        links.remove(link)
        baseline.accept(nil, at: link)
        continue
      }
      if target != baseline.expected[link]?.filesystem {
        // It was made anew.
        links.remove(link)
        baseline.accept(nil, at: link)
        meet(link, root)
      } else {
        // A link that leads nowhere stands for its objects: that is another rule.
        present[link] = root.mount(behind: link) ?? baseline.expected[link]
      }
    }
  }
}

extension TreeRoot {
  /// The text of a symbolic link.
  fileprivate func target(of link: RelativePath) -> String? {
    // PATH_MAX.
    var bytes = [UInt8](repeating: 0, count: 4_096)
    // SAFETY: the kernel writes within the array during the call only.
    let count = bytes.withUnsafeMutableBytes { buffer in
      guard let base = buffer.bindMemory(to: CChar.self).baseAddress else { return -1 }
      return readlinkat(descriptor.raw, link.string, base, buffer.count)
    }
    return count < 0 ? nil : String(decoding: bytes[..<count], as: UTF8.self)
  }

  /// What the directory lies on that a link leads to: its mount's number, with its own inode and birth, and the link's text.
  fileprivate func mount(behind link: RelativePath) -> Mount? {
    var status = s3m_mounted()
    guard let target = target(of: link), s3m_look_at_mount(descriptor.raw, link.string, 0, &status) == 0
    else {
      return nil
    }
    return Mount(
      id: status.mount, major: status.major, minor: status.minor, inode: status.inode, birth: status.birth,
      filesystem: target)
  }

  /// What is mounted where below the root, as far as it is in sight: a mount may lie below another one.
  func mounts(in table: MountTable) -> [RelativePath: Mount] {
    let top = canonicalPath(path)
    var found: [RelativePath: Mount] = [:]
    for entry in table.mounts {
      var below = entry.point
      guard below != top, below.removePrefix(top), !below.isEmpty else { continue }
      let place = RelativePath(below.string)
      // The later line about one place is the upper mount.
      found[place] = mount(at: place, known: entry)
    }
    return found
  }

  /// Nil also where the mount cannot be looked at, as a FUSE mount whose server died: it is not the one that was expected.
  private func mount(at place: RelativePath, known entry: MountTable.Mount) -> Mount? {
    var status = s3m_mounted()
    guard s3m_look_at_mount(descriptor.raw, place.string, AT_SYMLINK_NOFOLLOW, &status) == 0,
      status.is_mount != 0
    else {
      return nil
    }
    return Mount(
      id: status.mount, major: status.major, minor: status.minor, inode: status.inode, birth: status.birth,
      filesystem: "\(entry.type) \(entry.source)")
  }
}
