import CLinux
import Glibc

/// An epoll(7) set of descriptors that a loop waits for, and what ended the last wait. Its cost grows with what is
/// ready, not with what is watched.
///
/// Confined to one thread, but for `wakeup`.
package final class DescriptorPoll {
  package struct Ready {
    package var descriptor: CInt
    package var canRead: Bool
    package var canWrite: Bool
    package var hasFailed: Bool
  }

  /// Ends a wait, from any thread.
  package let wakeup: Wakeup
  private let set: CInt
  /// As many as one wait returns: the rest are found by the next one.
  private var events = [epoll_event](repeating: epoll_event(), count: 256)
  private var readyCount = 0

  package init() throws(ThreadError) {
    wakeup = try Wakeup()
    set = epoll_create1(CInt(EPOLL_CLOEXEC))
    guard set >= 0 else { throw ThreadError(operation: "making an epoll set", code: errno) }
    watch(wakeup.descriptor, reading: true, writing: false)
  }

  deinit {
    close(set)
  }

  /// Neither reading nor writing watches for errors only.
  package func watch(_ descriptor: CInt, reading: Bool, writing: Bool) {
    let mask = (reading ? EPOLLIN.rawValue : 0) | (writing ? EPOLLOUT.rawValue : 0)
    var event = epoll_event(events: mask, data: epoll_data(fd: descriptor))
    if epoll_ctl(set, EPOLL_CTL_MOD, descriptor, &event) == 0 { return }
    // ENOENT: it is new, or the kernel dropped a closed one of the same number. After any other failure it stays silent,
    // as a peer may; what limits a silent peer limits this.
    _ = epoll_ctl(set, EPOLL_CTL_ADD, descriptor, &event)
  }

  /// One that is closed already is no longer in the set.
  package func forget(_ descriptor: CInt) {
    _ = epoll_ctl(set, EPOLL_CTL_DEL, descriptor, nil)
  }

  /// Blocks until a descriptor is ready, `wakeup` is signalled or the time is over. An interruption ends it too.
  package func wait(milliseconds: CInt) {
    readyCount = Int(max(0, epoll_wait(set, &events, CInt(events.count), milliseconds)))
  }

  /// What the last wait found, once.
  package func takeReady() -> [Ready] {
    guard readyCount > 0 else { return [] }
    var ready: [Ready] = []
    ready.reserveCapacity(readyCount)
    for event in events[..<readyCount] {
      if event.data.fd == wakeup.descriptor {
        wakeup.drain()
        continue
      }
      let failures = EPOLLERR.rawValue | EPOLLHUP.rawValue
      ready.append(
        Ready(
          descriptor: event.data.fd, canRead: event.events & EPOLLIN.rawValue != 0,
          canWrite: event.events & EPOLLOUT.rawValue != 0, hasFailed: event.events & failures != 0))
    }
    readyCount = 0
    return ready
  }
}
