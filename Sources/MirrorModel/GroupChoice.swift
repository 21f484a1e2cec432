/// Which member of which group this process is: from the options and, where these are silent, from the launcher's
/// environment.
package struct GroupChoice: Hashable, Sendable {
  /// Nil takes the launcher's name of the job.
  package var name: String?
  /// From 0. Nil takes the launcher's number of this host.
  package var member: Int?
  /// Nil takes the launcher's number of hosts.
  package var members: Int?

  package init(name: String?, member: Int? = nil, members: Int? = nil) {
    self.name = name
    self.member = member
    self.members = members
  }

  /// A member of a group.
  package struct Identity: Hashable, Sendable {
    package var name: String
    package var member: Int
    package var members: Int
    /// How often the launcher has started the job again.
    package var restarts: Int

    package init(name: String, member: Int, members: Int, restarts: Int = 0) {
      self.name = name
      self.member = member
      self.members = members
      self.restarts = restarts
    }
  }

  /// What is wrong with the choice, and the remedy.
  package struct Fault: Error, Hashable, Sendable, CustomStringConvertible {
    package var description: String

    package init(_ description: String) {
      self.description = description
    }
  }

  /// - Throws: `Fault`.
  package func identity(in environment: [String: String]) throws(Fault) -> Identity {
    // Options that say everything need no launcher.
    let isWhole = name != nil && member != nil && members != nil
    let launcher = isWhole ? nil : try Launcher(environment)
    guard let name = name ?? launcher?.job else {
      throw Fault(
        launcher.map { "\($0.name) names no job; write --group NAME, the same on every host" }
          ?? "--group auto finds no launcher: there is no SLURM_JOB_ID, TORCHELASTIC_RUN_ID, JOB_COMPLETION_INDEX or OMPI_COMM_WORLD_RANK; write --group NAME --member K --members N"
      )
    }
    if let fault = GroupPlace.fault(inName: name) { throw Fault(fault) }
    guard let member = member ?? launcher?.host else {
      throw Fault(
        "the group \(name) does not know which of its members this host is; write --member K, from 0")
    }
    guard let members = members ?? launcher?.hosts else {
      throw Fault("the group \(name) does not know how many members it has; write --members N")
    }
    guard (1...10_000).contains(members) else {
      throw Fault("--members is \(members); a group has 1 to 10,000 members")
    }
    guard (0..<members).contains(member) else {
      throw Fault(
        "--member is \(member); the members of a group of \(members) are 0 to \(members - 1)")
    }
    return Identity(name: name, member: member, members: members, restarts: launcher?.restarts ?? 0)
  }
}

/// What a launcher's environment says about the hosts of its job.
private struct Launcher {
  var name: String
  var job: String?
  /// The number of this host, from 0.
  var host: Int?
  var hosts: Int?
  var restarts = 0

  /// Nil without a launcher. Slurm comes first: torchrun may give a host another rank after a restart, Slurm
  /// does not.
  init?(_ environment: [String: String]) throws(GroupChoice.Fault) {
    let variables = Variables(environment)
    if variables["SLURM_JOB_ID"] != nil {
      try self.init(slurm: variables)
    } else if variables["TORCHELASTIC_RUN_ID"] != nil {
      try self.init(torchrun: variables)
    } else if variables["JOB_COMPLETION_INDEX"] != nil {
      try self.init(kubernetes: variables)
    } else if variables["OMPI_COMM_WORLD_RANK"] != nil {
      try self.init(openMPI: variables)
    } else {
      return nil
    }
  }

  /// srun(1), "Output environment variables".
  private init(slurm variables: Variables) throws(GroupChoice.Fault) {
    name = "Slurm"
    job = variables["SLURM_JOB_ID"]
    if let task = try variables.number("SLURM_LOCALID"), task > 0 {
      throw GroupChoice.Fault(
        "SLURM_LOCALID is \(task): this is one of several tasks of its host, and a group has one member a host; start s3mirror with srun --ntasks-per-node=1, or in the task with SLURM_LOCALID 0 only"
      )
    }
    host = try variables.number("SLURM_NODEID")
    let ofStep = try variables.number("SLURM_STEP_NUM_NODES")
    let ofJob = try variables.number("SLURM_NNODES")
    hosts = ofStep ?? ofJob
    restarts = try variables.number("SLURM_RESTART_COUNT") ?? 0
  }

  /// PyTorch, "torchrun (Elastic Launch)", "Environment Variables". One agent runs on each host.
  private init(torchrun variables: Variables) throws(GroupChoice.Fault) {
    name = "torchrun"
    let run = variables["TORCHELASTIC_RUN_ID"]
    // The name of every run whose command does not set --rdzv-id.
    job = run == "none" ? nil : run
    host = try variables.number("GROUP_RANK")
    hosts = try variables.number("GROUP_WORLD_SIZE")
    restarts = try variables.number("TORCHELASTIC_RESTART_COUNT") ?? 0
  }

  /// Kubernetes, "Jobs", "Completion mode": the host name of a pod is the job's name, `-` and the index. No
  /// variable has the number of pods.
  private init(kubernetes variables: Variables) throws(GroupChoice.Fault) {
    name = "Kubernetes"
    host = try variables.number("JOB_COMPLETION_INDEX")
    let ending = host.map { "-\($0)" } ?? ""
    if let pod = variables["HOSTNAME"], pod.hasSuffix(ending), pod.count > ending.count {
      job = String(pod.dropLast(ending.count))
    }
  }

  /// Open MPI numbers processes, not hosts. The two are the same only if each host has one process. No variable
  /// has a name that a second start of the job would keep.
  private init(openMPI variables: Variables) throws(GroupChoice.Fault) {
    name = "Open MPI"
    if try variables.number("OMPI_COMM_WORLD_LOCAL_SIZE") == 1 {
      host = try variables.number("OMPI_COMM_WORLD_RANK")
      hosts = try variables.number("OMPI_COMM_WORLD_SIZE")
    }
  }
}

private struct Variables {
  private let values: [String: String]

  init(_ values: [String: String]) {
    self.values = values
  }

  subscript(name: String) -> String? { values[name].flatMap { $0.isEmpty ? nil : $0 } }

  func number(_ name: String) throws(GroupChoice.Fault) -> Int? {
    guard let text = self[name] else { return nil }
    if let number = Int(text), number >= 0 { return number }
    throw GroupChoice.Fault("\(name) is \"\(text)\", which is no number; write --member K --members N")
  }
}
