import Glibc
import LocalSocket
import LoopThread
import S3Mirror
import Synchronization

/// Reports the state of the mirror to the service manager that started this process (sd_notify(3)), such as
/// systemd with `Type=notify`.
///
/// While the mirror enters and while it ends, the notifier asks for more time as long as the mirror makes
/// progress, because a first comparison or a last upload may take hours. Once the mirror is ready,
/// `WATCHDOG=1` is sent at half the manager's time limit, but only while the mirror makes progress
/// (`MirrorPulse`). So the manager restarts a process that is stuck.
final class ServiceNotifier: Sendable {
  enum Phase: Sendable {
    case entering
    case running
    case ending
  }

  /// The extra time that each message requests, and how often: sd_notify(3), EXTEND_TIMEOUT_USEC.
  static let extensionSeconds = 30
  private static let extensionPeriod: Duration = .seconds(10)

  private let socket: NotifySocket
  /// The manager's watchdog time; nil if it has no watchdog for this process.
  let watchdog: Duration?
  private let beats = Mutex<Task<Void, Never>?>(nil)
  private let isLost = Mutex(false)

  /// - Parameters:
  ///   - environment: the environment of this process.
  ///   - process: the number of this process.
  /// - Returns: nil if there is no service manager, or if its address is not supported, which is reported.
  init?(environment: [String: String], process: Int32 = getpid()) {
    guard let address = environment["NOTIFY_SOCKET"], !address.isEmpty else { return nil }
    do throws(SocketError) {
      socket = try NotifySocket(address: address)
    } catch {
      Console.note("the service manager cannot be notified: \(error)")
      return nil
    }
    watchdog = Self.watchdog(environment, process)
  }

  /// The time after which a silent process counts as stuck (sd_watchdog_enabled(3)).
  static func watchdog(_ environment: [String: String], _ process: Int32) -> Duration? {
    guard let text = environment["WATCHDOG_USEC"], let microseconds = Int64(text), microseconds > 0 else {
      return nil
    }
    // Variables inherited from a watched parent concern the parent.
    if let owner = environment["WATCHDOG_PID"], Int32(owner) != process { return nil }
    return .microseconds(microseconds)
  }

  /// Reports the beginning of a phase and sends signs of life from now on.
  func begin(_ phase: Phase, of scope: MirrorScope) {
    switch phase {
    case .entering: send(["STATUS=comparing with S3, and publishing what differs", extensionRequest])
    case .running: send(["READY=1", "STATUS=waiting for changes"])
    case .ending: send(["STOPPING=1", "STATUS=publishing what is left", extensionRequest])
    }
    let period: Duration?
    switch phase {
    case .running: period = watchdog.map { $0 / 2 }
    case .entering, .ending:
      period = min(Self.extensionPeriod, watchdog.map { $0 / 2 } ?? Self.extensionPeriod)
    }
    let message = phase == .running ? ["WATCHDOG=1"] : [extensionRequest, "WATCHDOG=1"]
    let patience = watchdog ?? .seconds(Self.extensionSeconds)
    beats.withLock { beats in
      beats?.cancel()
      beats = period.map { period in
        Task(executorPreference: TaskThreads.current) {
          await self.beat(message, every: period, while: MirrorPulse(of: scope, patience: patience))
        }
      }
    }
  }

  /// Stops the signs of life.
  func end() {
    beats.withLock { beats in
      beats?.cancel()
      beats = nil
    }
  }

  /// Reports the latest pass.
  func tell(_ event: MirrorEvent) {
    if case .pass(let summary) = event { send(["STATUS=\(visible(summary.description))"]) }
  }

  private var extensionRequest: String { "EXTEND_TIMEOUT_USEC=\(Self.extensionSeconds * 1_000_000)" }

  private func beat(_ message: [String], every period: Duration, while pulse: MirrorPulse) async {
    var pulse = pulse
    while true {
      let isMoving = await pulse.isMoving()
      if Task.isCancelled { return }
      if isMoving { send(message) }
      do {
        try await TaskThreads.pause(for: period)
      } catch {
        return
      }
    }
  }

  /// An error here has no consequence for the mirror. It is reported once.
  private func send(_ lines: [String]) {
    do throws(SocketError) {
      try socket.send(lines)
    } catch {
      let isFirst = isLost.withLock { isLost in
        defer { isLost = true }
        return !isLost
      }
      if isFirst { Console.note("the service manager cannot be notified: \(error)") }
    }
  }
}
