import MirrorModel
import TestSupport
import Testing

/// Which member of which group a process is.
@Suite struct GroupChoiceTests {
  struct Row: Sendable, CustomTestStringConvertible {
    var name: String
    var choice = GroupChoice(name: nil)
    var environment: [String: String] = [:]
    var identity: GroupChoice.Identity?
    /// A part of the message where there is no identity.
    var fault = ""

    var testDescription: String { name }
  }

  private static let slurm = [
    "SLURM_JOB_ID": "4711", "SLURM_NODEID": "2", "SLURM_NNODES": "4", "SLURM_LOCALID": "0",
  ]
  private static let torchrun = [
    "TORCHELASTIC_RUN_ID": "run", "GROUP_RANK": "1", "GROUP_WORLD_SIZE": "2", "RANK": "9",
    "TORCHELASTIC_RESTART_COUNT": "5",
  ]
  private static let kubernetes = ["JOB_COMPLETION_INDEX": "3", "HOSTNAME": "train-a-3"]
  private static let openMPI = [
    "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_SIZE": "1",
  ]

  static let rows: [Row] = [
    Row(
      name: "the options alone", choice: GroupChoice(name: "a", member: 1, members: 2),
      environment: ["SLURM_JOB_ID": "1", "SLURM_LOCALID": "5"],
      identity: .init(name: "a", member: 1, members: 2)),
    Row(name: "Slurm", environment: slurm, identity: .init(name: "4711", member: 2, members: 4)),
    Row(
      name: "Slurm, requeued", environment: slurm.merging(["SLURM_RESTART_COUNT": "3"]) { $1 },
      identity: .init(name: "4711", member: 2, members: 4, restarts: 3)),
    Row(
      name: "a Slurm step on some nodes of its job",
      environment: slurm.merging(["SLURM_STEP_NUM_NODES": "3"]) { $1 },
      identity: .init(name: "4711", member: 2, members: 3)),
    Row(
      name: "the second task of a host", environment: slurm.merging(["SLURM_LOCALID": "1"]) { $1 },
      fault: "srun --ntasks-per-node=1"),
    Row(
      name: "Slurm before torchrun", environment: slurm.merging(torchrun) { $1 },
      identity: .init(name: "4711", member: 2, members: 4)),
    Row(
      name: "a name, and the rest from Slurm", choice: GroupChoice(name: "mine"), environment: slurm,
      identity: .init(name: "mine", member: 2, members: 4)),
    Row(
      name: "torchrun", environment: torchrun,
      identity: .init(name: "run", member: 1, members: 2, restarts: 5)),
    Row(
      name: "torchrun without a name", environment: torchrun.merging(["TORCHELASTIC_RUN_ID": "none"]) { $1 },
      fault: "torchrun names no job; write --group NAME"),
    Row(
      name: "Kubernetes", choice: GroupChoice(name: nil, members: 8), environment: kubernetes,
      identity: .init(name: "train-a", member: 3, members: 8)),
    Row(name: "Kubernetes without a number", environment: kubernetes, fault: "write --members N"),
    Row(
      name: "a pod with another name", choice: GroupChoice(name: nil, members: 8),
      environment: ["JOB_COMPLETION_INDEX": "3", "HOSTNAME": "pod"], fault: "Kubernetes names no job"),
    Row(
      name: "Open MPI, one process a host", choice: GroupChoice(name: "a"), environment: openMPI,
      identity: .init(name: "a", member: 1, members: 2)),
    Row(name: "Open MPI names no job", environment: openMPI, fault: "Open MPI names no job"),
    Row(
      name: "Open MPI, two processes a host", choice: GroupChoice(name: "a"),
      environment: openMPI.merging(["OMPI_COMM_WORLD_LOCAL_SIZE": "2"]) { $1 }, fault: "write --member K"),
    Row(name: "no launcher", environment: ["SLURM_JOB_ID": ""], fault: "--group auto finds no launcher"),
    Row(
      name: "no launcher, and a name", choice: GroupChoice(name: "a", members: 2), fault: "write --member K"),
    Row(
      name: "a number that is none", environment: slurm.merging(["SLURM_NODEID": "x"]) { $1 },
      fault: "SLURM_NODEID is \"x\""),
    Row(
      name: "a name with a slash", choice: GroupChoice(name: "a/b", member: 0, members: 1),
      fault: "\"a/b\" is no name of a group"),
    Row(
      name: "a member too many", choice: GroupChoice(name: "a", member: 2, members: 2),
      fault: "--member is 2; the members of a group of 2 are 0 to 1"),
    Row(
      name: "no members", choice: GroupChoice(name: "a", member: 0, members: 0),
      fault: "--members is 0"),
  ]

  @Test(arguments: rows)
  func `the options and the launcher say which member this is`(row: Row) {
    let result = Result { try row.choice.identity(in: row.environment) }
    switch result {
    case .success(let identity): #expect(identity == row.identity)
    case .failure(let error):
      #expect(row.identity == nil, "\(error)")
      #expect("\(error)".contains(row.fault), "\(error)")
    }
  }
}
