import Glibc
import MirrorModel

/// The limits of inotify on this machine, from /proc/sys (inotify(7), /proc interfaces).
package struct WatchLimits: Sendable, Hashable {
  /// `fs.inotify.max_user_watches`: watches per user; nil if it cannot be read.
  package var watches: Int?
  /// `fs.inotify.max_user_instances`: instances per user.
  package var instances: Int?
  /// `fs.inotify.max_queued_events`: waiting records per instance.
  package var queuedEvents: Int?
  /// `user.max_inotify_watches`: watches per user namespace. It applies if it is the smaller limit
  /// (namespaces(7)).
  package var namespaceWatches: Int?
  /// `user.max_inotify_instances`: instances per user namespace.
  package var namespaceInstances: Int?

  package init(
    watches: Int? = nil, instances: Int? = nil, queuedEvents: Int? = nil, namespaceWatches: Int? = nil,
    namespaceInstances: Int? = nil
  ) {
    self.watches = watches
    self.instances = instances
    self.queuedEvents = queuedEvents
    self.namespaceWatches = namespaceWatches
    self.namespaceInstances = namespaceInstances
  }

  package static func current() -> WatchLimits {
    WatchLimits(
      watches: number(at: "/proc/sys/fs/inotify/max_user_watches"),
      instances: number(at: "/proc/sys/fs/inotify/max_user_instances"),
      queuedEvents: number(at: "/proc/sys/fs/inotify/max_queued_events"),
      namespaceWatches: number(at: "/proc/sys/user/max_inotify_watches"),
      namespaceInstances: number(at: "/proc/sys/user/max_inotify_instances"))
  }

  private static func number(at path: String) -> Int? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 64)
    let count = read(descriptor, &bytes, bytes.count)
    guard count > 0 else { return nil }
    return Int(String(decoding: bytes.prefix(while: { $0 >= 0x30 && $0 <= 0x39 }), as: UTF8.self))
  }
}

extension WatchLimits {
  /// Which limit to raise, its present value and its new one; nil for reasons that have nothing to do with a
  /// limit.
  ///
  /// - Parameter needed: how many watches the trees on this machine need, as far as known.
  package func advice(for reason: RescanReason, watchesNeeded needed: Int = 0) -> String? {
    switch reason {
    case .queueOverflow:
      Self.raise("fs.inotify.max_queued_events", from: queuedEvents, toAtLeast: 0)
    case .watchLimit:
      watchAdvice(needed: needed)
    case .instanceLimit:
      instanceAdvice
    case .unwatchedFilesystem, .unreadable, .followedLink, .collapsed, .remounted:
      nil
    }
  }

  package var instanceAdvice: String {
    Self.raise(
      the: "instances", from: instances, inNamespace: namespaceInstances, toAtLeast: 0)
  }

  private func watchAdvice(needed: Int) -> String {
    Self.raise(the: "watches", from: watches, inNamespace: namespaceWatches, toAtLeast: needed)
  }

  /// The kernel checks both limits, so the smaller one applies.
  private static func raise(
    the what: String, from current: Int?, inNamespace namespaced: Int?, toAtLeast needed: Int
  ) -> String {
    if let namespaced, namespaced < current ?? .max {
      return raise("user.max_inotify_\(what)", from: namespaced, toAtLeast: needed)
    }
    return raise("fs.inotify.max_user_\(what)", from: current, toAtLeast: needed)
  }

  /// Suggests twice the present value, so that the limit is not reached again soon.
  private static func raise(_ name: String, from current: Int?, toAtLeast needed: Int) -> String {
    guard let current else { return "raise \(name) (sysctl)" }
    let target = max(current > Int.max / 2 ? current : current * 2, needed, 1)
    return "raise \(name), now \(current): sysctl \(name)=\(target)"
  }
}
