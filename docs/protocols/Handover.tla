------------------------------- MODULE Handover -------------------------------
(* Messages that one process claims together are one handover: one row, written
   with the claims, and closed once. What is still in it when it is closed was
   accepted; no row of a message is written for that.

   The row is the lock of its attempts. Its owner may take messages back after
   the gate, writes what was not accepted and closes it in one transaction;
   recovery closes it for an owner that can no longer send (when that is certain
   is the matter of Dispatch). A message that may be tried again is claimed into
   another handover, perhaps while the first one is still open.                  *)
EXTENDS Naturals, FiniteSets

CONSTANTS
  MaxMessages, MaxHandovers,
  CheckOpen,      \* owner and recovery act only on a handover that is still open
  CheckMember,    \* an attempt is ended only if the message is in this handover
  OneTransaction, \* what was not accepted is written with the closing
  MaybeRead       \* when the owner reads whether an earlier attempt may have
                  \* arrived: "own" row, or "after" the closing, which hides it

VARIABLES
  msg,      \* state, handover, an earlier attempt may have arrived
  contact,  \* what the customer's ledger says: planned | made | unknown | none
  row,      \* handover: none | open | closed
  pc, todo, answer,   \* its owner: step, messages to send, what the provider said
  arrived,  \* messages that the provider took
  ends      \* how often the attempt of a message in a handover has ended

vars == <<msg, contact, row, pc, todo, answer, arrived, ends>>
Messages == 1..MaxMessages
Handovers == 1..MaxHandovers
Answers == {"accepted", "rejected", "unknown"}

Init ==
  /\ msg = [m \in Messages |-> [st |-> "pending", h |-> 0, maybe |-> FALSE]]
  /\ contact = [m \in Messages |-> "planned"]
  /\ row = [h \in Handovers |-> "none"] /\ pc = [h \in Handovers |-> "idle"]
  /\ todo = [h \in Handovers |-> {}]
  /\ answer = [h \in Handovers |-> [m \in Messages |-> "none"]]
  /\ arrived = {} /\ ends = [h \in Handovers |-> [m \in Messages |-> 0]]

In(m, h) == msg[m].st = "handing over" /\ (msg[m].h = h \/ ~CheckMember)
Shown(m) == IF msg[m].st # "handing over" THEN msg[m].st
            ELSE IF row[msg[m].h] = "closed" THEN "accepted" ELSE "handing over"

Claim(h) ==
  /\ row[h] = "none" /\ \A g \in Handovers : g < h => row[g] # "none"
  /\ \E S \in (SUBSET {m \in Messages : msg[m].st = "pending"}) \ {{}} :
       /\ msg' = [m \in Messages |-> IF m \in S THEN [msg[m] EXCEPT !.st = "handing over", !.h = h] ELSE msg[m]]
       /\ contact' = [m \in Messages |-> IF m \in S THEN "made" ELSE contact[m]]
       /\ todo' = [todo EXCEPT ![h] = S]
  /\ row' = [row EXCEPT ![h] = "open"] /\ pc' = [pc EXCEPT ![h] = "claimed"]
  /\ UNCHANGED <<answer, arrived, ends>>

(* The gate refuses a message: judged again, it ends, or waits for its turn. One
   that may have arrived ends as unknown.                                         *)
TakeBack(h, m) ==
  /\ pc[h] = "claimed" /\ m \in todo[h]
  /\ todo' = [todo EXCEPT ![h] = @ \ {m}]
  /\ IF (row[h] = "open" \/ ~CheckOpen) /\ In(m, h)
     THEN \E next \in {"suppressed", "pending"} :
            LET st == IF msg[m].maybe THEN "unknown" ELSE next
            IN /\ msg' = [msg EXCEPT ![m].st = st, ![m].h = h]
               /\ contact' = [contact EXCEPT ![m] = IF st = "unknown" THEN "unknown"
                                                    ELSE IF st = "pending" THEN "planned" ELSE "none"]
               /\ ends' = [ends EXCEPT ![h][m] = @ + 1]
     ELSE UNCHANGED <<msg, contact, ends>>
  /\ UNCHANGED <<row, pc, answer, arrived>>

Send(h) ==                        \* before its deadline, so nobody has closed it
  /\ pc[h] = "claimed" /\ row[h] = "open"
  /\ \E said \in [Messages -> Answers], got \in SUBSET todo[h] :
       /\ \A m \in todo[h] : (said[m] = "accepted" => m \in got) /\ (said[m] = "rejected" => m \notin got)
       /\ answer' = [answer EXCEPT ![h] = [m \in Messages |-> IF m \in todo[h] THEN said[m] ELSE "none"]]
       /\ arrived' = arrived \cup got
  /\ pc' = [pc EXCEPT ![h] = "sent"]
  /\ UNCHANGED <<msg, contact, row, todo, ends>>

(* The message after an attempt that was not accepted: tried again under the same
   key, or at its end.                                                            *)
After(m, said, maybe) ==
  IF said = "unknown" THEN {[st |-> "pending", maybe |-> TRUE, contact |-> "unknown"],
                            [st |-> "unknown", maybe |-> FALSE, contact |-> "unknown"]}
  ELSE IF maybe THEN {[st |-> "unknown", maybe |-> FALSE, contact |-> "unknown"]}
  ELSE {[st |-> "rejected", maybe |-> FALSE, contact |-> "none"]}

Others(h) == {m \in todo[h] : answer[h][m] # "accepted" /\ In(m, h)}

WriteOthers(h, state) ==
  \E next \in [Others(h) -> UNION {After(m, s, b) : m \in Messages, s \in Answers, b \in BOOLEAN}] :
    /\ \A m \in Others(h) :
         next[m] \in After(m, answer[h][m], IF MaybeRead = "own" THEN msg[m].maybe ELSE FALSE)
    /\ msg' = [m \in Messages |-> IF m \in Others(h)
                 THEN [st |-> next[m].st, h |-> h, maybe |-> next[m].maybe] ELSE msg[m]]
    /\ contact' = [m \in Messages |-> IF m \in Others(h) THEN next[m].contact ELSE contact[m]]
    /\ ends' = [ends EXCEPT ![h] = [m \in Messages |->
                  IF m \in Others(h) \/ (state = "closing" /\ m \in todo[h] /\ In(m, h)) THEN @[m] + 1 ELSE @[m]]]

Record(h) ==
  /\ pc[h] = "sent"
  /\ IF row[h] = "open" \/ ~CheckOpen
     THEN /\ row' = [row EXCEPT ![h] = "closed"]
          /\ IF OneTransaction
             THEN WriteOthers(h, "closing") /\ pc' = [pc EXCEPT ![h] = "done"]
             ELSE pc' = [pc EXCEPT ![h] = "others"] /\ UNCHANGED <<msg, contact, ends>>
     ELSE \* late: what others left as unknown was accepted
          /\ msg' = [m \in Messages |-> IF m \in todo[h] /\ answer[h][m] = "accepted" /\ msg[m].st = "unknown"
                                        THEN [msg[m] EXCEPT !.st = "accepted"] ELSE msg[m]]
          /\ contact' = [m \in Messages |-> IF msg'[m].st = "accepted" /\ msg[m].st = "unknown"
                                            THEN "made" ELSE contact[m]]
          /\ pc' = [pc EXCEPT ![h] = "done"] /\ UNCHANGED <<row, ends>>
  /\ UNCHANGED <<todo, answer, arrived>>

RecordOthers(h) ==
  /\ pc[h] = "others" /\ WriteOthers(h, "others") /\ pc' = [pc EXCEPT ![h] = "done"]
  /\ UNCHANGED <<row, todo, answer, arrived>>

Recover(h) ==                     \* its owner can no longer send; it may still write
  /\ pc[h] \in {"claimed", "sent", "others", "done"} /\ (row[h] = "open" \/ (~CheckOpen /\ pc[h] # "done"))
  /\ LET S == {m \in Messages : In(m, h)}
     IN \E next \in [S -> After(CHOOSE m \in Messages : TRUE, "unknown", FALSE)] :
          /\ msg' = [m \in Messages |-> IF m \in S
                       THEN [st |-> next[m].st, h |-> h, maybe |-> next[m].maybe] ELSE msg[m]]
          /\ contact' = [m \in Messages |-> IF m \in S THEN "unknown" ELSE contact[m]]
          /\ ends' = [ends EXCEPT ![h] = [m \in Messages |-> IF m \in S THEN @[m] + 1 ELSE @[m]]]
  /\ row' = [row EXCEPT ![h] = "closed"]
  /\ pc' = [pc EXCEPT ![h] = IF @ = "claimed" THEN "dead" ELSE @]
  /\ UNCHANGED <<todo, answer, arrived>>

Next == \E h \in Handovers : Claim(h) \/ Send(h) \/ Record(h) \/ RecordOthers(h) \/ Recover(h)
                             \/ \E m \in Messages : TakeBack(h, m)
Spec == Init /\ [][Next]_vars
        /\ \A h \in Handovers : WF_vars(Record(h)) /\ WF_vars(Recover(h))

(* What must hold *)
Accepted  == \A m \in Messages : Shown(m) = "accepted" => m \in arrived
Counts    == \A m \in arrived : contact[m] \in {"made", "unknown"}
EndsOnce  == \A h \in Handovers, m \in Messages : ends[h][m] <= 1
Told      == \A h \in Handovers, m \in Messages :       \* a late acceptance is not lost
               pc[h] = "done" /\ answer[h][m] = "accepted" /\ msg[m].h = h => Shown(m) # "unknown"
AllClosed == <>[](\A h \in Handovers : row[h] # "open")
=============================================================================
