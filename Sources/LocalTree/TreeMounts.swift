import CLinux
import Glibc
import MirrorModel
import Synchronization
import SystemPackage

/// Compares the mounts below a root with the expected ones.
///
/// A check without changes is one system call, whatever the number of mounts, directories and files.
///
/// A followed link to a directory counts as a place of its own, because the filesystem of its target may be
/// unmounted too.
package final class TreeMounts: Sendable {
  /// The invisible places at one moment.
  package struct View: Sendable, Hashable {
    /// The places below which files may be invisible. No file there may count as deleted.
    package var hidden: Set<RelativePath>
    /// Counts the changes of any mount. If two views have the same number, nothing was mounted or unmounted
    /// between them.
    package var changes: Int

    package init(hidden: Set<RelativePath> = [], changes: Int = 0) {
      self.hidden = hidden
      self.changes = changes
    }
  }

  fileprivate struct State {
    var baseline: MountBaseline
    var present: [RelativePath: Mount]
    /// The mounts that `takeChanges` has already returned.
    var given: [RelativePath: Mount]
    /// The directory to which `present` belongs. A root that was lost and returned is opened again.
    var root: TreeRoot
    /// Whether a read failed since the kernel reported a change.
    var isStale = false
    /// The followed links that are known so far.
    var links: Set<RelativePath> = []
    var changes = 0
  }

  private let table: MountFile
  private let followedLinks: @Sendable () -> [RelativePath]
  private let state: Mutex<State>

  /// Accepts the present mounts as the expected ones.
  ///
  /// - Parameter followedLinks: the followed links that are known to lead to a directory.
  /// - Throws: if /proc cannot be read.
  package init(
    below root: TreeRoot, followedLinks: @escaping @Sendable () -> [RelativePath] = { [] }
  ) throws(TreeError) {
    self.followedLinks = followedLinks
    do {
      table = try MountFile(in: root.fileSystem)
      // The kernel reports changes from here on.
      let present = root.mounts(in: try table.read())
      state = Mutex(
        State(baseline: MountBaseline(present), present: present, given: present, root: root))
    } catch {
      throw TreeError(.look, path: "/proc/self/mountinfo", errno: error)
    }
  }

  /// The places where a filesystem was mounted or unmounted since the last call. Places of links are left
  /// out, because they are compared at every tick.
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

  /// The hidden places, each with its present mount.
  package func alterations(below root: TreeRoot) throws(TreeError) -> [RelativePath: Mount?] {
    try withState(below: root) { state in
      Dictionary(
        uniqueKeysWithValues: state.baseline.altered(by: state.present).map { ($0, state.present[$0]) })
    }
  }

  /// Accepts the mount at a place as the expected one, if it is still the present one.
  ///
  /// Call it after a comparison has found a file for every object below the place.
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
      if table.takeChange() || state.root !== root { state.isStale = true }
      if state.isStale {
        do throws(Errno) {
          state.present = root.mounts(in: try table.read())
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
}

extension TreeMounts.State {
  /// Accepts the filesystem of a link's target as the expected one.
  fileprivate mutating func meet(_ link: RelativePath, _ root: TreeRoot) {
    guard let mount = root.mount(behind: link) else { return }
    links.insert(link)
    baseline.accept(mount, at: link)
    present[link] = mount
  }

  /// Checks the targets of the known links again.
  fileprivate mutating func lookBehindLinks(_ root: TreeRoot) {
    for link in links {
      guard let target = root.target(of: link) else {
        // The link was removed.
        links.remove(link)
        baseline.accept(nil, at: link)
        continue
      }
      if target != baseline.expected[link]?.filesystem {
        // The link was created anew.
        links.remove(link)
        baseline.accept(nil, at: link)
        meet(link, root)
      } else {
        // A link without a target protects its objects by another rule.
        present[link] = root.mount(behind: link) ?? baseline.expected[link]
      }
    }
  }
}

extension TreeRoot {
  /// The text of a symbolic link.
  fileprivate func target(of link: RelativePath) -> String? {
    text(ofLinkAt: link).map { String(decoding: $0, as: UTF8.self) }
  }

  /// The mount of a link's target directory: the mount's number, the directory's own inode and birth, and the
  /// link's text.
  fileprivate func mount(behind link: RelativePath) -> Mount? {
    guard let target = target(of: link), let status = mountStatus(of: link, flags: 0) else { return nil }
    return Mount(
      id: status.mount, major: status.major, minor: status.minor, inode: status.inode, birth: status.birth,
      filesystem: target)
  }

  /// The visible mounts below the root. A mount may lie below another one.
  func mounts(in table: MountTable) -> [RelativePath: Mount] {
    let top = fileSystem.canonicalPath(path)
    var found: [RelativePath: Mount] = [:]
    for entry in table.mounts {
      var below = entry.point
      guard below != top, below.removePrefix(top), !below.isEmpty else { continue }
      let place = RelativePath(below.string)
      // For one place, the later line is the upper mount.
      found[place] = mount(at: place, known: entry)
    }
    return found
  }

  /// Nil also if the mount cannot be accessed, such as a FUSE mount whose server died: it is not the expected
  /// mount.
  private func mount(at place: RelativePath, known entry: MountTable.Mount) -> Mount? {
    guard let status = mountStatus(of: place, flags: AT_SYMLINK_NOFOLLOW), status.is_mount != 0 else {
      return nil
    }
    return Mount(
      id: status.mount, major: status.major, minor: status.minor, inode: status.inode, birth: status.birth,
      filesystem: "\(entry.type) \(entry.source)")
  }

  /// Nil if nothing is there, or if it cannot be accessed.
  func mountStatus(of path: RelativePath, flags: CInt) -> s3m_mounted? {
    do { return try descriptor.mount(at: path.string, flags: flags) } catch { return nil }
  }
}
