-------------------------------- MODULE Changes --------------------------------
(* What has changed since: a reader reads facts and a position in one snapshot, and
   later asks which transactions have changed facts since. None may be missed that
   the snapshot had not seen.

   Transactions get ids as they begin and end in any order; each changes one fact
   and notes it. Old notes are forgotten. The server crashes, and then gives ids
   again that had not reached the log; or it fails over to another one that has
   lost the newest transactions.                                                  *)
EXTENDS Naturals, FiniteSets

CONSTANTS
  MaxTxs, MaxCrashes, MaxFailovers,
  Position,       \* "bounded": no running transaction is older, and not beyond what was seen
                  \* "xmin": without the second; "newest": without the first (a sequence)
  CheckHorizon,   \* a position from before what was forgotten is answered "anything"
  MoveHorizon,    \* forgetting moves the horizon
  CheckServer     \* a position of another server is answered "anything"

VARIABLES
  txs,      \* transactions in order of their beginning: id, state
  next,     \* the next id
  durable,  \* the largest id that certainly is in the log
  notes,    \* transactions whose notes are kept
  horizon, server, crashes,
  pc, seen, pos, of, told   \* the reader: step, transactions seen, position, its server, answer

vars == <<txs, next, durable, notes, horizon, server, crashes, pc, seen, pos, of, told>>
db     == <<txs, next, durable, notes, horizon, server, crashes>>
reader == <<pc, seen, pos, of, told>>

Txs == 1..Cardinality(DOMAIN txs)
In(state) == {t \in Txs : txs[t].st = state}
Max(S) == CHOOSE x \in S : \A y \in S : y <= x
Min(S) == CHOOSE x \in S : \A y \in S : x <= y
Xmin == Min({next} \cup {txs[t].id : t \in In("running")})
Newest(S) == Max({0} \cup {txs[t].id : t \in S})

Init ==
  /\ txs = <<>> /\ next = 1 /\ durable = 0 /\ notes = {} /\ horizon = 0
  /\ server = 1 /\ crashes = 0
  /\ pc = "read" /\ seen = {} /\ pos = 0 /\ of = 0 /\ told = {}

Begin ==
  /\ Cardinality(Txs) < MaxTxs
  /\ txs' = [t \in 1..(Cardinality(Txs) + 1) |-> IF t \in Txs THEN txs[t] ELSE [id |-> next, st |-> "running"]]
  /\ next' = next + 1
  /\ UNCHANGED <<durable, notes, horizon, server, crashes, reader>>
Commit(t) ==
  /\ t \in In("running")
  /\ txs' = [txs EXCEPT ![t].st = "committed"] /\ notes' = notes \cup {t}
  /\ durable' = Max({durable, txs[t].id})
  /\ UNCHANGED <<next, horizon, server, crashes, reader>>
Abort(t) ==
  /\ t \in In("running") /\ txs' = [txs EXCEPT ![t].st = "ended"]
  /\ UNCHANGED <<next, durable, notes, horizon, server, crashes, reader>>
Forget ==
  /\ \E S \in (SUBSET notes) \ {{}} :
       /\ notes' = notes \ S
       /\ horizon' = IF MoveHorizon THEN Max({horizon, Newest(S) + 1}) ELSE horizon
  /\ UNCHANGED <<txs, next, durable, server, crashes, reader>>
Crash ==
  /\ crashes < MaxCrashes /\ crashes' = crashes + 1
  /\ txs' = [t \in Txs |-> IF txs[t].st = "running" THEN [txs[t] EXCEPT !.st = "ended"] ELSE txs[t]]
  /\ next' \in (durable + 1)..next
  /\ UNCHANGED <<durable, notes, horizon, server, reader>>
Failover ==
  /\ server <= MaxFailovers /\ server' = server + 1
  /\ \E first \in 1..next :
       LET lost(t) == txs[t].st = "running" \/ txs[t].id >= first
       IN /\ txs' = [t \in Txs |-> IF lost(t) THEN [txs[t] EXCEPT !.st = "ended"] ELSE txs[t]]
          /\ notes' = {t \in notes : ~lost(t)}
          /\ next' = first /\ durable' = Min({durable, first - 1}) /\ horizon' = Min({horizon, first})
  /\ UNCHANGED <<crashes, reader>>

Read ==
  /\ pc = "read" /\ pc' = "hold" /\ seen' = In("committed") /\ of' = server
  /\ LET seenNotes(limit) == {t \in notes : txs[t].id < limit}
         bounded == Max({horizon, Newest(seenNotes(Xmin)) + 1})
     IN pos' = CASE Position = "bounded" -> Min({Xmin, bounded})
                 [] Position = "xmin"    -> Xmin
                 [] Position = "newest"  -> Max({horizon, Newest(notes) + 1})
  /\ UNCHANGED <<db, told>>
Ask ==
  /\ pc = "hold" /\ pc' = "told"
  /\ told' = IF (CheckServer /\ of # server) \/ (CheckHorizon /\ pos < horizon)
             THEN Txs ELSE {t \in notes : txs[t].id >= pos}
  /\ UNCHANGED <<db, seen, pos, of>>

Next == Begin \/ Forget \/ Crash \/ Failover \/ Read \/ Ask \/ \E t \in Txs : Commit(t) \/ Abort(t)
Spec == Init /\ [][Next]_vars

(* What differs between the two snapshots, in either direction, is told.          *)
NothingMissed ==
  [][pc = "hold" /\ pc' = "told" =>
       (In("committed") \ seen) \cup (seen \ In("committed")) \subseteq told']_vars
================================================================================
