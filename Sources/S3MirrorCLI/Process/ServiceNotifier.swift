import Glibc
import LocalSocket
import LoopThread
import S3Mirror
import Synchronization

/// Tells the service manager that started this process how the mirror stands (sd_notify(3)): systemd with `Type=notify`, for one.
///
/// While the mirror enters and while it ends, the manager is asked for more time as long as the mirror moves: a first comparison or a
/// last upload may take hours. Once it is ready, `WATCHDOG=1` is sent at half the time that the manager allows, and only if the
/// mirror moves (`MirrorPulse`): a process that only exists is restarted.
final class ServiceNotifier: Sendable {
  enum Phase: Sendable {
    case entering
    case running
    case ending
  }

  /// What the manager is asked for with each sign of life, and how often: sd_notify(3), EXTEND_TIMEOUT_USEC.
  static let extensionSeconds = 30
  private static let extensionPeriod: Duration = .seconds(10)

  private let socket: NotifySocket
  /// Nil where the manager has no watchdog for this process.
  let watchdog: Duration?
  private let beats = Mutex<Task<Void, Never>?>(nil)
  private let isLost = Mutex(false)

  /// - Parameters:
  ///   - environment: of this process.
  ///   - process: its number.
  /// - Returns: nil where no service manager listens, or listens where this program cannot speak, which is said.
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

  /// The time after which a silent process is taken for stuck (sd_watchdog_enabled(3)).
  static func watchdog(_ environment: [String: String], _ process: Int32) -> Duration? {
    guard let text = environment["WATCHDOG_USEC"], let microseconds = Int64(text), microseconds > 0 else {
      return nil
    }
    // The variables of a parent that is watched mean the parent.
    if let owner = environment["WATCHDOG_PID"], Int32(owner) != process { return nil }
    return .microseconds(microseconds)
  }

  /// Says that a phase has begun, and sends signs of life from now on.
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

  /// Sends no more signs of life.
  func end() {
    beats.withLock { beats in
      beats?.cancel()
      beats = nil
    }
  }

  /// What came of the latest pass.
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

  /// A manager that cannot be reached ends nothing; that is said once.
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
