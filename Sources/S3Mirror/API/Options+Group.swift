import FoundationEssentials
import MirrorModel

extension Options {
  /// The group of hosts that this mirror belongs to.
  ///
  /// Each host of a job writes its part of a checkpoint to its own disk and mirrors it under one prefix; one host
  /// writes the commit marker. In a group, a marker appears on S3 only after the data of all hosts, no host deletes
  /// another host's objects, and of two processes that act for one host only the later one publishes.
  public struct Group: Sendable, Hashable {
    /// The same on every host of the job, and another one for each job: 1 to 100 letters, digits, `-`, `_`, `.`.
    public var name: String
    /// The number of this host, from 0. A process that replaces another one has the same number.
    public var member: Int
    /// The number of hosts.
    public var members: Int
    /// How long the end waits for silent members before it gives a commit marker up, and how long a marker waits
    /// before a message names them. Default 10 minutes.
    public var timeout: Duration
    /// How long a process waits that takes a member over from one that has not ended, before it publishes anything.
    /// By default 16 minutes and 10 seconds: so long S3 may accept requests of the earlier process. A launcher that
    /// makes sure that the earlier process is gone, with its requests, can set less. On the same directory of the
    /// same host 10 seconds are enough.
    public var takeover: Duration
    /// Whether S3 makes sure that each member has one process. Default ``Fencing-swift.enum/conditionalWrites``.
    public var fencing: Fencing
    /// How often the launcher has started the job again. A process with a lower number never replaces one with a
    /// higher number.
    public var restarts: Int
    package var pace = Pace()

    public enum Fencing: Sendable, Hashable {
      /// By conditional writes. A server that does not know them is found out at entry.
      case conditionalWrites
      /// Not at all: the launcher makes sure of it.
      case none
    }

    /// The times of the protocol that users need not set.
    package struct Pace: Sendable, Hashable {
      /// How long changes may begin after the claim was confirmed.
      package var lease: Duration = .seconds(60)
      /// The time between two reads of the other members' slots while a marker waits.
      package var watch: Duration = .seconds(1)
      /// The time between two reads at rest.
      package var rest: Duration = .seconds(10)
      /// How long reads stay frequent after a pass.
      package var attention: Duration = .seconds(15)
      /// How long a claim waits over an attempt on the same directory of this host, whose process is known to have
      /// ended: requests that the kernel still sends arrive by then.
      package var succession: Duration = .seconds(10)
    }

    /// Amazon S3 refuses a request 15 minutes after its signature (RequestTimeTooSkewed). An attempt that has lost
    /// its claim signs its last request at the end of its lease, and clocks differ.
    public static let standardTakeover: Duration = .seconds(900 + 60 + 10)

    public init(name: String, member: Int, members: Int) {
      self.name = name
      self.member = member
      self.members = members
      timeout = .seconds(600)
      takeover = Self.standardTakeover
      fencing = .conditionalWrites
      restarts = 0
    }

    /// Finds the group in the environment that Slurm, torchrun, Kubernetes (indexed jobs) or Open MPI set.
    ///
    /// - Parameters:
    ///   - name: nil takes the launcher's name of the job.
    ///   - member: nil takes the launcher's number of this host.
    ///   - members: nil takes the launcher's number of hosts.
    ///   - environment: nil takes the process's own.
    /// - Throws: ``MirrorError`` that names what is missing, and the remedy.
    public static func found(
      name: String? = nil, member: Int? = nil, members: Int? = nil, in environment: [String: String]? = nil
    ) throws(MirrorError) -> Group {
      do {
        let identity = try GroupChoice(name: name, member: member, members: members)
          .identity(in: environment ?? ProcessInfo.processInfo.environment)
        var group = Group(name: identity.name, member: identity.member, members: identity.members)
        group.restarts = identity.restarts
        return group
      } catch {
        throw MirrorError(.configuration, error.description)
      }
    }

    /// Whether there are other members. A group of one behaves as no group.
    var isShared: Bool { members > 1 }

    /// The slots of the group.
    var place: GroupPlace { GroupPlace(group: name, count: members) }

    /// - Throws: `MirrorError.invalid` that names the option and its valid values.
    func check() throws(MirrorError) {
      let choice = GroupChoice(name: name, member: member, members: members)
      do {
        _ = try choice.identity(in: [:])
      } catch {
        throw MirrorError(.invalid, error.description)
      }
      for (option, time) in [("group.timeout", timeout), ("group.takeover", takeover)] {
        guard time >= .zero, time <= .seconds(Options.longestSeconds) else {
          throw MirrorError(.invalid, "\(option) is \(time); it may be from nothing to ten years")
        }
      }
      guard (0..<(1 << 29)).contains(restarts) else {
        throw MirrorError(.invalid, "group.restarts is \(restarts); it cannot be negative")
      }
    }
  }
}
