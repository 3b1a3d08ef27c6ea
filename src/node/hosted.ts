import type { NatsConnection } from 'nats';
import type { GroupConfig } from '../../cluster/types.js';
import type { MemberReport } from '../../replication/effects.js';
import type { Names } from '../nats/subjects.js';
import { Alarms } from './alarms.js';
import { Intake, StandbyIntake } from './intake.js';
import type { MemberDriver } from './member-driver.js';

/** A member that runs here, with what listens for it: as the active, as a standby, or not at all. */
export class Hosted {
  readonly alarms: Alarms;
  #intake: Intake | null = null;
  #standbyIntake: StandbyIntake | null = null;

  constructor(
    readonly config: GroupConfig,
    readonly index: number,
    readonly driver: MemberDriver,
    private readonly connection: NatsConnection,
    private readonly names: Names,
  ) {
    this.alarms = new Alarms(index, config.members[index]?.node ?? '');
  }

  openIntake(): void {
    this.closeIntake();
    const { connection, names, config, index, driver } = this;
    this.#intake = new Intake(connection, names, config.name, index, driver);
  }

  closeIntake(): void {
    this.#intake?.close();
    this.#intake = null;
  }

  /** Serves reads exactly while the member is a standby that holds a state, be it an older one (P11). */
  follow({ state, lastSyncMs }: MemberReport): void {
    const stands = state === 'standby' || state === 'restoring';
    const serves = stands && lastSyncMs !== null;
    if (serves === (this.#standbyIntake !== null)) return;
    if (!serves) return this.#closeStandbyIntake();
    const { connection, names, config, index, driver } = this;
    this.#standbyIntake = new StandbyIntake(connection, names, config.name, index, driver);
  }

  stop(): void {
    this.closeIntake();
    this.#closeStandbyIntake();
    this.driver.stop();
  }

  #closeStandbyIntake(): void {
    this.#standbyIntake?.close();
    this.#standbyIntake = null;
  }
}
